REQUIRES = ["no-such-distribution"]

raise SystemExit("must not be run: a requirement is missing")
