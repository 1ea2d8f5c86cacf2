"""Stiffness of the grains of a plate from full-field displacements: what they tell alone, and what a load cell adds.

A made-up plate of copper-like cubic grains is pulled along one axis, along the other, and sheared, by grips that do not
move quite evenly. A camera gives noisy displacements at the points of a grid, an EBSD map the grain of each cell and
its orientation, a load cell the force of the two tests in tension. Displacements alone give ratios: every stiffness
times two, and all displacements are the same. The forces close that.

Run it: `python examples/infer_stiffness.py` (`--fast` for the short form, `--output DIR` for the place of the page).
"""

# %%
import argparse
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from scipy.sparse.linalg import spsolve

import mfal.cli
from physics.elasticity.finite_elements import Mesh
from physics.elasticity.polycrystal import nearest_seed, random_rotations
from physics.elasticity.symmetry import symmetry_class
from physics.elasticity.tensor import from_voigt
from pinn.stiffness.data import affine_part
from pinn.stiffness.model import GrainModel

parser = argparse.ArgumentParser()
parser.add_argument("--fast", action="store_true", help="the short form")
parser.add_argument("--output", type=Path, default=Path("plate"), help="folder for the fields and the page")
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()
options.output.mkdir(parents=True, exist_ok=True)

GRAINS, CELLS = (6, 20) if options.fast else (16, 48)
FINER, CELL_UM, THICKNESS_MM = 4, 10.0, 0.2
NOISE, LOAD_ERROR = 0.05, 0.01

# %% [markdown]
# ## What nobody knows
#
# C11, C12 and C44 in GPa. The sheet is thin: plane stress. All grains are of one material, turned at random.

# %%
HIDDEN = {"C11": 168.4, "C12": 121.4, "C44": 75.4}
generator = np.random.default_rng(options.seed)
shears = np.diag([0.0] * 3 + [HIDDEN["C44"]] * 3)
crystal = np.diag([HIDDEN["C11"] - HIDDEN["C12"]] * 3 + [0.0] * 3) + shears
crystal[:3, :3] += HIDDEN["C12"]
rotations = random_rotations(GRAINS, generator)
model = GrainModel("cubic", rotations, np.zeros(GRAINS, dtype=int), plane="stress")
free_numbers = symmetry_class("cubic", 3).parameters(from_voigt(jnp.asarray(crystal)))
stiffness = np.asarray(model.grain_stiffness(free_numbers, 2))

# %% [markdown]
# ## What camera, microscope and load cell give
#
# Equilibrium is solved on a mesh four times finer than the map, with boundaries that are finer by as much.

# %%
seeds = generator.uniform(0.05, 0.95, size=(4 * GRAINS, 2))
# Seeds that keep a distance, as grains of one size have.
while len(seeds) > GRAINS:
    gaps = np.linalg.norm(seeds[:, None] - seeds, axis=-1) + 10 * np.eye(len(seeds))
    seeds = np.delete(seeds, np.argmin(gaps.min(axis=1)), axis=0)
grain_map = nearest_seed((CELLS, CELLS), seeds * CELLS, periodic=False)
mesh = Mesh((FINER * CELLS, FINER * CELLS))
matrix = mesh.assemble(stiffness[nearest_seed(mesh.cells, seeds * FINER * CELLS, periodic=False).ravel()])
inner = np.flatnonzero(~mesh.on_boundary)

rows, displacements = [], []
for load, strain in enumerate(1e-3 * np.array([[1.0, -0.3, 0.0], [-0.3, 1.0, 0.0], [0.0, 0.0, 1.4]])):
    moved = mesh.affine(strain).reshape(*mesh.nodes, 2)
    places = np.stack(np.meshgrid(*[np.linspace(0, np.pi, n) for n in mesh.nodes], indexing="ij"), -1)
    waves = np.sin(places @ generator.normal(size=(2, 2)) + generator.uniform(0, 2 * np.pi, 2))
    moved = (moved + 4e-5 * FINER * CELLS * waves).ravel()
    moved[inner] -= spsolve(matrix[inner][:, inner].tocsc(), (matrix @ moved)[inner])
    held = np.moveaxis((matrix @ moved).reshape(*mesh.nodes, 2), load % 2, 0)
    displacements.append(np.moveaxis(moved.reshape(*mesh.nodes, 2)[::FINER, ::FINER], -1, 0))
    if load < 2:
        # The rim of a face also carries half of what the faces beside it do. 1 GPa um = 1 N/mm.
        force = (held[-1, :, load].sum() - 0.5 * held[-2, :, load].sum()) * CELL_UM / FINER * THICKNESS_MM
        read = force * (1 + LOAD_ERROR * generator.normal())
        rows.append(f"{load},{load},far,{load},{read:.8g},{LOAD_ERROR * abs(read):.8g}")

exact = np.array(displacements) * CELL_UM / FINER
noise_um = NOISE * np.sqrt(np.mean([np.square(one - affine_part(one)[0]).mean() for one in exact]))
path, table = options.output / "plate.npz", options.output / "forces.csv"
measured = exact + noise_um * generator.normal(size=exact.shape)
np.savez(path, grain_map=grain_map, displacements=measured, rotations=rotations)
table.write_text("load,axis,side,component,value,sd\n" + "\n".join(rows), encoding="utf-8")

# %% [markdown]
# ## What displacements tell alone
#
# Ratios, and that they are no more: `absolute` is empty.

# %%
told = [str(path), "--symmetry", "cubic", "--plane", "stress", "--one-material", "--spacing", f"{CELL_UM:g}um"]
mfal.cli.main(["stiffness", *told, "--out", str(options.output / "ratios")])
alone = json.loads((options.output / "ratios" / "stiffness.json").read_text(encoding="utf-8"))
print(f"not told: {alone['ridge']}")
print(f"constants with a unit: {len(alone['absolute'])}")

# %% [markdown]
# ## With two forces

# %%
forces = ["--forces", str(table), "--force-unit", "N", "--thickness", f"{THICKNESS_MM:g}mm"]
mfal.cli.main(["stiffness", *told, *forces, "--out", str(options.output / "absolute")])
scaled = json.loads((options.output / "absolute" / "stiffness.json").read_text(encoding="utf-8"))
for constant in scaled["absolute"]:
    name = constant["symbol"].split()[0]
    interval = f"{constant['low']:.4g} to {constant['high']:.4g}"
    print(f"{name:4} {constant['value']:.4g} ({interval}) {constant['unit']}, hidden {HIDDEN[name]:.4g}")
fractions = np.bincount(grain_map.ravel()) / grain_map.size
mean = np.trace(np.tensordot(fractions, stiffness, 1)) / 3
print(f"mean stiffness {scaled['scale']['value']:.4g} {scaled['scale']['unit']}, hidden {mean:.4g}")
