"""Iterative energy-based projection on a normal data manifold (Dehaene, Frigo, Combrexelle, Eline, ICLR 2020).

Four autoencoders on one architecture (`autoencoders`, `vae`), and the descent that projects an image onto what any
method with a reconstruction has learned (`projection`, `descent`), for localisation and for inpainting (`inpaint`).
Marks in this package: [P] the paper, [B] Bergmann et al. 2018/2019, [TS] TwoStageVAE, the code of the authors of the
gamma-VAE, [D] a decision of our fact sheet, "sheet" with a section the fact sheet itself.
"""
