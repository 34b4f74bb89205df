"""Pictures of a finished run: from its record, its images and its trained method."""
