"""Speed and memory, each figure beside its floor of the same run; never part of the tests: `python -m benchmarks.journal`."""
