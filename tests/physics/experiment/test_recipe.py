"""Recipes: refused where they make no sense, and other products on other platforms."""

from dataclasses import replace

import pytest

from physics.experiment.recipe import Platform, Precursor, Ramp, made
from tests.physics.experiment.laboratories import recipe


def test_the_same_recipe_makes_another_product_on_another_platform():
    reference, cold = Platform(), Platform("cold", offset_kelvin=-100.0)
    warm, cool = made(recipe("NiCo", 1200.0), reference), made(recipe("NiCo", 1200.0), cold)
    assert 0.0 < cool.conversion < warm.conversion < 1.0
    leaky = replace(reference, loss_share_per_hour=0.01, reactive=frozenset({"alumina crucible"}), pickup_share=0.002)
    lost = made(recipe("NiCo", 1300.0), leaky)
    assert lost.loss_share > 0.05 and lost.pickup_share == 0.002
    assert lost.shift(-10.0, -1000.0) < warm.shift(-10.0, -1000.0)
    assert cool.shift(-10.0, -100.0) < warm.shift(-10.0, -100.0) < 0.0


def test_an_offset_and_a_deviation_add_up():
    assert made(recipe("A", 1400.0), Platform(offset_kelvin=60.0), 40.0) == made(recipe("A", 1500.0), Platform())


def test_at_the_reference_temperature_the_rate_is_as_stated():
    import math

    product = made(recipe("A", 1300.0, hold_minutes=120.0), Platform(rate_per_hour=0.25, loss_share_per_hour=0.1))
    assert product.conversion == pytest.approx(1.0 - math.exp(-0.5))
    assert product.loss_share == pytest.approx(1.0 - math.exp(-0.2))


def test_contact_materials_count_as_vessels_do():
    platform = Platform(reactive=frozenset({"graphite foil", "alumina crucible"}), pickup_share=0.01)
    assert made(recipe("A"), platform).pickup_share == 0.01
    assert made(recipe("A", contact_materials=("graphite foil",)), platform).pickup_share == 0.02


@pytest.mark.parametrize("wrong", [{"precursors": ()}, {"heating": ()}, {"hold_minutes": -1.0}])
def test_recipes_without_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="the recipe of A"):
        recipe("A", **wrong)


def test_masses_and_ramps_are_positive():
    with pytest.raises(ValueError, match="positive mass"):
        Precursor("Ni", 0.0)
    with pytest.raises(ValueError, match="positive rate"):
        Ramp(1000.0, 0.0)
