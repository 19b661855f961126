"""The page on job states is as its generator makes it from the table of transitions."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_page_and_picture_are_generated_from_the_table() -> None:
    made = runpy.run_path(str(DOCS / "tools" / "job_states.py"))

    assert made["PAGE"].read_text() == made["page"]()
    assert made["PICTURE"].read_text() == made["picture"]()
