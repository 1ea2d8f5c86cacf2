"""Molecular dynamics through jax-md: forces of the potential, an exact list, energy to second order, nothing silent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("chgnet")
pytest.importorskip("jax_md")

import ase.units
from ase import Atoms
from ase.build import bulk
from jax_md import simulate, space
from jaxtyping import install_import_hook

with install_import_hook("physics.mlip.dynamics", "tests.checking.check"):
    from physics.mlip.dynamics import FEMTOSECOND, KELVIN, CrystalError, chgnet_energy, repeated

from physics.mlip.chgnet_potential import ChgnetPotential
from physics.mlip.compiling import compiled
from physics.mlip.fleet import SKIN_A
from physics.mlip.weights import load_weights

SHIFT = space.free()[1]


@pytest.fixture(scope="module")
def atoms():
    """Bonds on both sides of the shorter cutoff, in half the cell that nearest images need.

    None opposite to each other, as in rocksalt: CHGNet's forces jump where an angle is straight, and no order is seen.
    """
    telluride = bulk("CdTe", "zincblende", 6.6, cubic=True)
    telluride.rattle(0.12, seed=1)
    return telluride


@pytest.fixture(scope="module")
def positions(atoms):
    return jnp.asarray(atoms.positions, jnp.float32)


@pytest.fixture(scope="module")
def masses(atoms):
    return jnp.asarray(atoms.get_masses(), jnp.float32)


@pytest.fixture(scope="module")
def functions(atoms):
    return chgnet_energy(load_weights(), atoms)


@pytest.fixture(scope="module")
def near(functions, positions):
    return functions[0].allocate(positions)


@pytest.fixture(scope="module")
def predict(atoms):
    """What the potential, which searches at every call, says of positions: energy and its gradient."""
    potential = ChgnetPotential(load_weights(), "0.3.0")

    def energy_and_gradient(positions):
        moved = atoms.copy()
        moved.positions = np.asarray(positions, float)
        [found] = potential.predict([moved])
        return found.energy_ev_per_atom * len(atoms), -found.forces_ev_per_a

    return energy_and_gradient


@pytest.fixture(scope="module")
def look():
    """List and graph at positions."""
    return compiled(lambda near, positions: near.graph(positions))


@pytest.fixture(scope="module")
def answer(functions):
    """Energy and its gradient, eV and eV/angstrom."""
    return compiled(jax.value_and_grad(functions[1]))


def flat(position):
    """Stand in for the energy where a state is begun: `answer` has compiled the forces already."""
    return 0 * jnp.sum(position)


def displaced(positions, by, seed):
    """Move every atom by the same distance in a direction of its own."""
    steps = np.random.default_rng(seed).normal(size=positions.shape)
    return positions + jnp.asarray(by * steps / np.linalg.norm(steps, axis=1, keepdims=True), jnp.float32)


def sizes(graph):
    return int(graph.real.sum()), int(graph.real[: graph.short].sum()), int(graph.real_angle.sum())


def test_units_are_those_of_ase():
    assert FEMTOSECOND == pytest.approx(ase.units.fs, rel=1e-6)
    assert KELVIN == pytest.approx(ase.units.kB, rel=1e-6)


def same(found, expected):
    """Tell by asserting whether energies and gradients are the same but for float32."""
    assert float(found[0]) == pytest.approx(float(expected[0]), abs=3e-5)
    np.testing.assert_allclose(found[1], expected[1], atol=5e-5 * max(1, abs(expected[1]).max()))


def test_energy_and_forces_are_the_potentials(answer, predict, positions, near):
    energy, gradient = answer(positions, near)
    assert energy.shape == () and energy.dtype == gradient.dtype == jnp.float32
    assert abs(gradient).max() > 0.5
    same((energy, gradient), predict(positions))


def test_list_is_exact_within_the_skin_and_beyond(answer, look, predict, positions, near):
    """The graph changes within the skin, and the list not; beyond it the energy does not rely on an update."""
    before = sizes(look(near, positions)[1])
    for by, is_kept in ((0.48 * SKIN_A, True), (0.6 * SKIN_A, False)):
        there = displaced(positions, by, seed=3)
        updated, graph = look(near, there)
        assert (updated.candidates.fractional == near.candidates.fractional).all() == is_kept
        assert all(now != then for now, then in zip(sizes(graph), before, strict=True))
        expected = predict(there)
        same(answer(there, near), expected)
        same(answer(there, updated), expected)


def test_wrapped_positions_are_the_same(atoms, answer, look, positions, near):
    jumps = np.random.default_rng(2).integers(-2, 3, positions.shape) @ atoms.cell.array
    jumped = jnp.asarray(atoms.positions + jumps, jnp.float32)
    assert (look(near, jumped)[0].candidates.fractional == near.candidates.fractional).all()
    same(answer(jumped, near), answer(positions, near))


def test_energy_is_conserved_to_second_order_and_momentum_to_rounding(functions, answer, positions, masses, near):
    init, _ = simulate.nve(flat, SHIFT)
    _, step = simulate.nve(functions[1], SHIFT)

    @compiled
    def trajectory(state, near, dt):
        def one(now, _):
            state = step(now[0], neighbor=now[1], dt=dt)
            return (state, now[1].update(state.position)), state

        return jax.lax.scan(one, (state, near), length=40)

    start = init(jax.random.key(0), positions, 600 * KELVIN, mass=masses).set(force=-answer(positions, near)[1])
    spreads = []
    for halvings in (0, 1):
        now, totals = (start, near), []
        for _ in range(2**halvings):
            now, states = trajectory(*now, jnp.float32(8 * FEMTOSECOND / 2**halvings))
            kinetic = np.sum(np.asarray(states.momentum, float) ** 2 / (2 * masses[:, None]), axis=(1, 2))
            totals += [
                float(answer(there, now[1])[0]) + ours for there, ours in zip(states.position, kinetic, strict=True)
            ]
        state, last = now
        assert not last.did_buffer_overflow
        assert not (last.candidates.fractional == near.candidates.fractional).all()  # the skin was left on the way
        spreads.append(np.std(totals))
        momenta = np.asarray(state.momentum, float)
        assert abs(momenta.sum(0)).max() < 1e-5 * abs(momenta).sum()
    assert spreads[1] > 1e-4  # far above float32's noise
    assert 3.3 < spreads[0] / spreads[1] < 4.8


def test_a_thermostat_runs(functions, answer, positions, masses, near):
    """The one whose state has most to carry through a loop."""
    init, _ = simulate.nvt_nose_hoover(flat, SHIFT, dt=2 * FEMTOSECOND, kT=300 * KELVIN)
    _, step = simulate.nvt_nose_hoover(functions[1], SHIFT, dt=2 * FEMTOSECOND, kT=300 * KELVIN)
    state = init(jax.random.key(0), positions, mass=masses).set(force=-answer(positions, near)[1])
    ended, last = repeated(step, 20)(state, near)
    assert not last.did_buffer_overflow
    assert 0.05 < float(abs(ended.position - positions).max()) < 1
    assert 30 < float(simulate.temperature(ended)) / KELVIN < 2000


def test_overflow_is_flagged_stays_and_makes_answers_nan(functions, answer, look, positions, near):
    crowded = 0.3 * positions  # every atom within the shorter cutoff of every other
    overflowed = look(near, crowded)[0]
    assert overflowed.did_buffer_overflow and look(overflowed, positions)[0].did_buffer_overflow
    for there, neighbours in ((crowded, near), (crowded, overflowed), (positions, overflowed)):
        energy, gradient = answer(there, neighbours)
        assert np.isnan(energy) and np.isnan(gradient).all()
    fresh = functions[0].allocate(crowded)
    assert not fresh.did_buffer_overflow
    assert fresh.capacities.angles >= 8 * 7 * 6 > near.capacities.angles


def test_there_is_room_for_a_shell_behind_the_shorter_cutoff():
    """At rest no bond has an angle; soon many have."""
    telluride = bulk("CdTe", "zincblende", 7.1, cubic=True)
    rest = jnp.asarray(telluride.positions, jnp.float32)
    near = chgnet_energy(load_weights(), telluride)[0].allocate(rest)
    assert not near.did_buffer_overflow
    assert near.capacities.angles >= 8 * 4 * 3


def test_what_cannot_be_answered_is_refused(functions, positions, near):
    allocate = functions[0].allocate
    with pytest.raises(CrystalError, match="position"):
        allocate(positions[:-1])
    with pytest.raises(CrystalError, match="position"):
        functions[1](positions[:-1], neighbor=near)
    with pytest.raises(CrystalError, match="not finite"):
        allocate(positions.at[0, 0].set(jnp.nan))
    with pytest.raises(CrystalError, match="apart"):
        allocate(positions.at[0].set(positions[1]))
    with pytest.raises(CrystalError, match="periodic"):
        chgnet_energy(load_weights(), Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]))[0].allocate(jnp.zeros((2, 3)))
    with pytest.raises(TypeError, match="box"):  # a cell that changes is not silently ignored
        functions[1](positions, neighbor=near, box=jnp.eye(3))
