"""Mobility and interface energy from images: what they tell alone, and what a driving force adds.

A made-up microscope looks at a two-phase structure that grows under a driving force, through its point-spread function
and with noise, and writes a TIFF stack with pixel size and frame time. The fit reads that file. The images alone give
M kappa, M W and M dG, and with them the width of the interface; mobility, gradient energy, well height and interface
energy stay open, because (x M, kappa/x, W/x, dG/x) gives the same images for every x. A driving force, known from
calorimetry and the undercooling, closes that.

Run it: `python examples/infer_morphology.py` (`--fast` for the short form, `--output DIR` for the place of the page).
The same from the command line:
`mfal infer scene.tif --model allen-cahn --edge periodic --driven --out scene`
"""

# %%
import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tifffile

from physics.phase_field.energy import interface_energy
from physics.phase_field.equations import AllenCahn as AllenCahnEquation
from physics.phase_field.evolve import evolve, schedule
from physics.phase_field.grid import Grid
from physics.phase_field.observe import blurred
from pinn.amounts import Measured
from pinn.images.reading import Told, read_images
from pinn.phase_field.fit import fit
from pinn.phase_field.models import AllenCahn, Camera
from pinn.report.page import rows, write_page
from pinn.report.record import Inference

parser = argparse.ArgumentParser()
parser.add_argument("--fast", action="store_true", help="the short form")
parser.add_argument("--output", type=Path, default=Path("morphology"), help="folder for the images and the page")
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()
options.output.mkdir(parents=True, exist_ok=True)

PIXELS, FRAMES = (32, 8) if options.fast else (64, 20)
PIXEL_NM, FRAME_S, NOISE, BLUR_PX = 5.0, 30.0, 0.02, 0.7

# %% [markdown]
# ## What nobody knows
#
# An interface of 15 nm and .2 J/m^2, a mobility, and a driving force of 2 MJ/m^3, in SI units.

# %%
WIDTH, SIGMA, DRIVING_FORCE = 15e-9, 0.2, 2e6
KAPPA, WELL = 3 * SIGMA * WIDTH, 6 * SIGMA / WIDTH
MOBILITY = 3e-10
assert np.isclose(interface_energy(KAPPA, WELL), SIGMA)

# %% [markdown]
# ## What the microscope writes

# %%
grid = Grid((PIXELS, PIXELS), PIXEL_NM * 1e-9, "periodic")
rates = (MOBILITY * KAPPA, MOBILITY * WELL, MOBILITY * DRIVING_FORCE)
equation = AllenCahnEquation(*(jnp.asarray(rate) for rate in rates))
of_structure, of_noise = jax.random.split(jax.random.key(options.seed))
rough = jax.random.normal(of_structure, (1, PIXELS, PIXELS))
smooth = blurred(rough, grid, jnp.asarray((4 * PIXEL_NM * 1e-9) ** 2), pixel_average=False)[0]
# A third of the scene is bright at first.
grains = 0.5 * (1 + jnp.tanh(3 * (smooth / jnp.std(smooth) - 0.5)))
# A while for the interfaces to find their profile, then the frames.
times = FRAME_S * np.concatenate(([-4.0], np.arange(FRAMES)))
fields = evolve(grains, equation, grid, schedule(times, FRAME_S / 8))[1:]
light = 0.2 + 0.5 * blurred(fields, grid, jnp.asarray((BLUR_PX * PIXEL_NM * 1e-9) ** 2), pixel_average=False)
frames = light + NOISE * jax.random.normal(of_noise, light.shape)

path = options.output / "scene.tif"
told = {"axes": "TYX", "PhysicalSizeX": PIXEL_NM, "PhysicalSizeXUnit": "nm", "TimeIncrement": FRAME_S}
tifffile.imwrite(path, np.asarray(frames, np.float32), ome=True, metadata=told)

# %% [markdown]
# ## What the images tell
#
# The point-spread function was calibrated; gain, offset, noise and the first field are fitted. `separate` is
# empty: a number for the mobility alone would be made up.

# %%
CAMERA = Camera(blur_px=BLUR_PX)
# Inferring the first field takes most of the time; the short form is told.
FIRST = np.asarray(fields[0]) if options.fast else None
series = read_images(path, Told())
alone = fit(series, AllenCahn(edge="periodic", driven=True), CAMERA, FIRST)
for row in rows(alone.identified):
    print(f"{row.symbol:8} {row.value} ({row.low} to {row.high}) {row.unit}")
print(f"not told: {alone.ridge}")
print(f"numbers for M, kappa, W alone: {len(alone.separate)}")

# %% [markdown]
# ## With a driving force

# %%
model = AllenCahn(edge="periodic", driving_force=Measured(DRIVING_FORCE, 0.02 * DRIVING_FORCE, "J/m^3"))
scaled = fit(series, model, CAMERA, FIRST)
truth = {"M": MOBILITY, "kappa": KAPPA, "W": WELL, "sigma": SIGMA}
for row, quantity in zip(rows(scaled.separate), scaled.separate, strict=True):
    hidden = f", hidden {truth[quantity.symbol]:.4g}" if quantity.symbol in truth else ""
    print(f"{row.symbol:8} {row.value} ({row.low} to {row.high}) {row.unit}{hidden}")
print(f"page: {write_page(Inference(path, series, model, scaled), options.output / 'inference.html')}")
