"""One fit of a movie in a process of its own: ``python -m benchmarks.inverse.movie_arm ARM MOVIE NOISE SEED CAP``.

The last line is a JSON object: seconds, and estimates of M kappa and M W per duration.
"""

import json
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.inverse.trajectory import Trajectory

if TYPE_CHECKING:
    from pinn.phase_field.problem import Problem, Unknowns

ADAM_SHARE = 0.3


def run(arm: str, name: str, noise: float, seed: int, cap_s: float, wall: bool, small: bool) -> Trajectory:
    """Return the course of one fit; its clock starts before anything heavy is imported, and rests while data are made.

    Args:
        arm: "solver", "field", "pinn", "deepxde" or "plain".
        name: of the movie.
        noise: standard deviation over the contrast.
        seed: of pattern, noise, weights and points.
        cap_s: seconds after which peers end.
        wall: whether to count wall time rather than processor time.
        small: the short form's movie.
    """
    trajectory = Trajectory(time.perf_counter if wall else time.process_time)
    from benchmarks.inverse.movie_data import movie

    began = trajectory.elapsed()
    shown = movie(name, noise, seed, small)
    trajectory.began += trajectory.elapsed() - began
    problem = shown.problem()
    if arm == "deepxde":
        from benchmarks.inverse.movie_peers import peer_problem
        from benchmarks.inverse.peers import deepxde_fit

        return deepxde_fit(peer_problem(problem, seed), cap_s, ADAM_SHARE, seed, trajectory)
    if arm == "plain":
        return _plain(problem, seed, cap_s, trajectory)
    return _ours(arm, problem, seed, trajectory)


def _ours(arm: str, problem: "Problem", seed: int, trajectory: Trajectory) -> Trajectory:
    """Return where a back end ends; of the network also what each of its rounds found."""
    import jax

    from pinn.phase_field import field, network, solver

    key = jax.random.key(seed)

    def note(unknowns: "Unknowns") -> bool:
        trajectory.add([float(jax.numpy.exp(unknowns.log_gradient)), float(jax.numpy.exp(unknowns.log_well))])
        return True

    if arm == "pinn":
        note(network.maximise(problem, key, listen=note).unknowns)
    else:
        note({"solver": solver, "field": field}[arm].maximise(problem, key).unknowns)
    return trajectory


def _plain(problem: "Problem", seed: int, cap_s: float, trajectory: Trajectory) -> Trajectory:
    """Return the course of the plain strong form: no penalty that grows, no second order, no polish."""
    import jax

    from benchmarks.inverse.plain import plain_fit
    from pinn.phase_field.network import effort_of_device, posed_on_network
    from pinn.training.least_squares import term
    from pinn.training.sampling import evenly

    effort = effort_of_device()
    build, place = jax.random.split(jax.random.key(seed))
    scene, box, data, start = posed_on_network(problem, effort, build)
    points = evenly(effort.plan.collocation, box.low, box.high, place)
    well = float(jax.numpy.exp(problem.start.log_well))
    terms = [term(data.row, data.samples, 1.0), *(term(one, points, 1.0 / well) for one in scene.equations())]

    def estimates(unknowns: "jax.Array") -> list[float]:
        return [float(value) for value in jax.numpy.exp(unknowns[:2])]

    return plain_fit(terms, start, estimates, cap_s, trajectory)


if __name__ == "__main__":
    method, title, level, number, cap, *rest = sys.argv[1:]
    done = run(method, title, float(level), int(number), float(cap), "--wall" in rest, "--small" in rest)
    print(json.dumps({"seconds": done.seconds, "estimates": done.estimates}))
