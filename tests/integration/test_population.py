"""The policy that teams are given, on a small town: people are left in peace, thieves are not."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stepupd.core.policy import Score

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import population


@pytest.mark.parametrize("score", Score)
def test_people_are_left_in_peace_and_attacks_are_met(score):
    """Fixed seeds; benchmarks/population.py does the same for 200 people and 90 days."""
    policy = replace(population.read_team_policy(), score=score)

    tally = population.run(policy, subjects=40, days=45)

    assert tally.median_prompts() <= population.MOST_ASKED
    assert tally.harder <= tally.ordinary / 50
    assert len(tally.caught) >= 50
    assert tally.share_caught() >= population.LEAST_CAUGHT
