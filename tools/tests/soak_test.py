"""The soak script, in a few seconds."""
import sys

import program

sys.path.insert(0, str(program.ROOT / "tools" / "reliability"))
import soak


def test_a_short_soak(tmp_path, capsys):
    assert soak.main(["--program", str(program.PROGRAM), "--time", "4s", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("exit ") == len(soak.RUNS)
    assert "polyline" in (tmp_path / "soak.svg").read_text()
    assert len((tmp_path / "soak.csv").read_text().splitlines()) > len(soak.RUNS)


def test_growth_is_seen():
    assert abs(soak.growth([50] + [100] * 199)) < 0.01
    assert soak.growth(list(range(100, 300))) > 0.1
    assert "300" not in soak.draw({"none": []})
