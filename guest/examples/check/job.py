# /// script
# requires-python = ">=3.14"
# dependencies = ["coverage", "pytest"]
# [tool.mvm-ci]
# name = "check"
# ///
"""Runs the tests of a package in pure Python, from the tarball of its source; the reports become artifacts."""

import os
import queue  # what tests may import: at run time there is no library on a disk
import sys
import tarfile
import unittest.mock  # likewise

import coverage
import pytest

import mvm_ci
from mvm_ci import http

# A guest has no descriptors to swap, no signals, no /dev/null to log to, no users.
FITTING = [
    "--capture=sys",
    "-pno:faulthandler",
    "-pno:logging",
    "-pno:cacheprovider",
    "--basetemp=/tmp/pytest",
]


def run(input):
    fetched = http.get(input["source"], to_artifact="source.tar.gz").raise_for_status().artifact
    with fetched.open() as packed, tarfile.open(fileobj=packed) as source:
        source.extractall("/work", filter="data")
    (name,) = os.listdir("/work")
    os.chdir(f"/work/{name}")
    sys.path[:0] = [os.getcwd(), f"{os.getcwd()}/src"]

    mvm_ci.progress("testing")
    measured = coverage.Coverage(source=["."], omit=["*test*"], data_file=None, messages=False)
    with measured.collect():
        exit_code = pytest.main([*FITTING, "-q", "--junit-xml=/tmp/junit.xml", *input.get("arguments", [])])
    covered = measured.xml_report(outfile="/tmp/coverage.xml")

    for report in ("junit.xml", "coverage.xml"):
        with open(f"/tmp/{report}", "rb") as file:
            mvm_ci.put_artifact(report, file, media="application/xml")
    if exit_code:
        raise RuntimeError(f"the tests of {name} failed")
    return {"package": name, "covered_percent": round(covered, 1)}
