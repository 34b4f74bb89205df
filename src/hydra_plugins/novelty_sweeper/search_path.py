"""`experiments/` on Hydra's search path, which makes `table` and `figure` config groups."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from novelty.config import experiments_dir


class ExperimentsSearchPath(SearchPathPlugin):
    """Appended last, so that a user's own folders come first."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append(provider="novelty", path=f"file://{experiments_dir()}")
