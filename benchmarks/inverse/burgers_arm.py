"""One fit of Burgers' problem in a process of its own: ``python -m benchmarks.inverse.burgers_arm ARM NOISE SEED CAP``.

The last line is a JSON object: seconds and estimates of speed and viscosity.
"""

import json
import sys
import time

from benchmarks.inverse.trajectory import Trajectory

ARMS = ("ours", "solver", "solver_known", "deepxde", "plain")


def run(arm: str, noise: float, seed: int, cap_s: float, wall: bool) -> Trajectory:
    """Return the course of one fit; its clock starts before anything heavy is imported."""
    trajectory = Trajectory(time.perf_counter if wall else time.process_time)
    from benchmarks.inverse.burgers_data import samples

    measured = samples(noise, seed)
    if arm == "deepxde":
        from benchmarks.inverse.burgers_peers import peer_problem
        from benchmarks.inverse.peers import deepxde_fit

        return deepxde_fit(peer_problem(measured), cap_s, ADAM_SHARE, seed, trajectory)
    if arm.startswith("solver"):
        from benchmarks.inverse.burgers_solver import fit as solve

        found = solve(measured, known_initial=arm == "solver_known")
        trajectory.add([found.speed, found.viscosity])
        return trajectory
    from benchmarks.inverse import burgers_ours

    if arm == "plain":
        return burgers_ours.fit_plainly(measured, seed, cap_s, trajectory)
    return burgers_ours.fit(measured, seed, burgers_ours.PLAN, cap_s, trajectory)


# Adam brings DeepXDE near, L-BFGS does the rest: half the time for Adam was no better when tried once, for a minute.
ADAM_SHARE = 0.2


if __name__ == "__main__":
    name, noise, seed, cap, *rest = sys.argv[1:]
    done = run(name, float(noise), int(seed), float(cap), wall="--wall" in rest)
    print(json.dumps({"seconds": done.seconds, "estimates": done.estimates}))
