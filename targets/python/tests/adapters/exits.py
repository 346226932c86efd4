import sys

sys.exit("no package")
