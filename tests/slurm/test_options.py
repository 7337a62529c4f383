"""What a profile for Slurm may say, and the allocation that follows. No Slurm is asked."""

import shlex
import sys
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crowdbench.errors import SettingsError
from crowdbench.jobs.job import Resources
from crowdbench_slurm.options import Options, read_options


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        # The forms of `man sbatch`, --time.
        (90, 90),
        ("90", 90),
        ("90:00", 90),
        ("1:30:00", 90),
        ("01:30:00", 90),
        ("2-00", 2 * 24 * 60),
        ("2-12:30", 2 * 24 * 60 + 12 * 60 + 30),
        ("1-00:00:00", 24 * 60),
        # Slurm counts in minutes, and rounds up.
        ("0:01", 1),
        ("10:30", 11),
        ("12:00:01", 721),
    ],
)
def test_time_limits_are_read_as_sbatch_reads_them(text: str | int, minutes: int) -> None:
    assert read_options("p", {"time": text}).minutes == minutes


@given(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_all_ways_to_write_a_time_limit_agree(days: int, hours: int, minutes: int, seconds: int) -> None:
    total_s = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    assume(total_s > 0)
    texts = [f"{days}-{hours}:{minutes}:{seconds}", f"{24 * days + hours}:{minutes:02}:{seconds:02}"]
    texts.append(f"{(24 * days + hours) * 60 + minutes}:{seconds}")
    assert {read_options("p", {"time": text}).minutes for text in texts} == {-(-total_s // 60)}


@pytest.mark.parametrize(
    "text", ["", "soon", "1h", "1:2:3:4", "-5", "1-", "1.5", "12:00:00 ", "1-2-3", "0", "0:00"]
)
def test_what_is_no_time_limit_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        read_options("p", {"time": text})


@pytest.mark.parametrize(
    ("options", "asked", "found"),
    [
        pytest.param({}, Resources(), Resources(1, 1), id="nothing asked"),
        pytest.param({"gpus": 4}, Resources(), Resources(4, 1), id="the profile's"),
        pytest.param({"gpus": 4}, Resources(2), Resources(2, 1), id="the command's"),
        pytest.param({"nodes": 2}, Resources(16), Resources(16, 2), id="nodes of the profile"),
        pytest.param({"nodes": 2}, Resources(16, 4), Resources(16, 4), id="nodes of the command"),
        pytest.param({}, Resources(16), Resources(16, 2), id="as few nodes as will do"),
        pytest.param({}, Resources(10), Resources(10, 2), id="evenly"),
        pytest.param({"gpus_per_node": 4}, Resources(16), Resources(16, 4), id="small nodes"),
        pytest.param({}, Resources(0), Resources(0, 1), id="no gpus"),
        pytest.param({"gpus": 0}, Resources(None, 2), Resources(0, 2), id="processors of two nodes"),
    ],
)
def test_gpus_and_nodes_complete_each_other(
    options: dict[str, Any], asked: Resources, found: Resources
) -> None:
    assert Options(**options).resolved(asked) == found


@pytest.mark.parametrize(
    ("options", "asked", "complaint"),
    [
        pytest.param({}, Resources(3, 2), "3 GPUs .* 2 nodes.\nAsk for a multiple: --gpus 4", id="uneven"),
        pytest.param({}, Resources(17), "17 GPUs .* 3 nodes.\nAsk for a multiple: --gpus 18", id="prime"),
        pytest.param({}, Resources(1, 2), "--gpus 2, or for other --nodes", id="more nodes than gpus"),
        pytest.param(
            {"gpus_per_node": 4},
            Resources(8, 1),
            "8 GPUs on 1 node are 8 on each; a node has 4",
            id="too many",
        ),
        pytest.param(
            {}, Resources(32, 2), "32 GPUs on 2 nodes are 16 on each; a node has 8", id="too few nodes"
        ),
    ],
)
def test_gpus_that_nodes_cannot_share_are_refused_with_what_would_do(
    options: dict[str, Any], asked: Resources, complaint: str
) -> None:
    with pytest.raises(SettingsError, match=complaint):
        Options(**options).resolved(asked)


@given(st.none() | st.integers(0, 64), st.none() | st.integers(1, 9), st.integers(0, 16), st.integers(1, 8))
def test_a_complete_allocation_is_even_fits_on_its_nodes_and_stays_as_it_is(
    gpus: int | None, nodes: int | None, usual: int, a_node: int
) -> None:
    options = Options(gpus=usual, gpus_per_node=a_node)
    try:
        found = options.resolved(Resources(gpus, nodes))
    except SettingsError:
        asked = usual if gpus is None else gpus
        assert asked % (nodes or -(-asked // a_node)) or asked // (nodes or 1) > a_node
        return
    assert found.gpus is not None
    assert found.nodes is not None
    assert found.gpus == (usual if gpus is None else gpus)
    assert found.nodes == (nodes or found.nodes)
    assert found.gpus % found.nodes == 0
    assert found.gpus // found.nodes <= a_node
    assert options.resolved(found) == found
    assert options.parameters(found)["nodes"] * options.parameters(found)["ntasks_per_node"] == max(
        found.gpus, found.nodes
    )


def test_an_unknown_option_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="profile a100: .*unknown field `partitions`") as caught:
        read_options("a100", {"partitions": "gpu"})
    for name in ("partition", "gpus_per_node", "container_runtime", "sbatch"):
        assert f"{name}," in str(caught.value) or f" {name}" in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"gpus": "four"}, id="no number"),
        pytest.param({"gpus": -1}, id="less than none"),
        pytest.param({"gpus_per_node": 0}, id="nodes without gpus"),
        pytest.param({"cpus_per_gpu": 0}, id="no processors"),
        pytest.param({"partition": ""}, id="no name"),
        pytest.param({"request_gpus": "please"}, id="another way to ask"),
        pytest.param({"container_runtime": "docker"}, id="another runtime"),
        pytest.param({"time": 0}, id="no time"),
        pytest.param({"signal_s": 5}, id="no time to write"),
        pytest.param({"setup": "module load cuda"}, id="a line that is not a list"),
        pytest.param({"sbatch": {"mail-type": ["ALL"]}}, id="a list for sbatch"),
        pytest.param({"memory": "100G", "memory_per_gpu": "10G"}, id="memory twice"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_its_name(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="profile mine: ") as caught:
        read_options("mine", options)
    assert next(iter(options)) in str(caught.value)


def test_every_documented_option_reaches_sbatch() -> None:
    options = read_options(
        "p",
        {
            "partition": "gpu",
            "account": "lab",
            "qos": "high",
            "constraint": "a100|h100",
            "exclude": "node7",
            "memory": "200G",
            "time": "2:00:00",
            "signal_s": 60,
            "cpus_per_gpu": 12,
            "setup": ["module load cuda", "ulimit -n 4096"],
            "sbatch": {"mail-type": "FAIL", "exclusive": True},
            "srun": ["--mpi=none"],
        },
    )
    found = options.parameters(Resources(8, 2))
    extra = found.pop("additional_parameters")
    assert found.pop("srun_args")[-1] == "--mpi=none"
    assert found == {
        "nodes": 2,
        "ntasks_per_node": 4,
        "cpus_per_task": 12,
        "time": 120,
        "signal_delay_s": 60,
        "setup": ["module load cuda", "ulimit -n 4096"],
        "stderr_to_stdout": True,
    }
    assert extra == {
        "requeue": True,
        "gpus-per-node": "4",
        "partition": "gpu",
        "account": "lab",
        "qos": "high",
        "constraint": "a100|h100",
        "exclude": "node7",
        "mem": "200G",
        "mail-type": "FAIL",
        "exclusive": True,
    }


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        pytest.param({}, {"gpus-per-node": "4"}, id="plain"),
        pytest.param({"gpu_type": "a100"}, {"gpus-per-node": "a100:4"}, id="of a type"),
        pytest.param({"request_gpus": "gres"}, {"gres": "gpu:4"}, id="gres"),
        pytest.param(
            {"request_gpus": "gres", "gpu_type": "a100"}, {"gres": "gpu:a100:4"}, id="gres of a type"
        ),
    ],
)
def test_gpus_are_asked_for_as_the_cluster_wants_it(options: dict[str, Any], asked: dict[str, str]) -> None:
    extra = Options(**options).parameters(Resources(8, 2))["additional_parameters"]
    assert {name: value for name, value in extra.items() if name in ("gres", "gpus-per-node")} == asked


def test_without_gpus_none_are_asked_for_and_a_node_has_one_task() -> None:
    found = Options().parameters(Resources(0, 2))
    assert found["additional_parameters"] == {"requeue": True}
    assert (found["nodes"], found["ntasks_per_node"]) == (2, 1)


def test_memory_may_be_asked_for_by_gpu() -> None:
    extra = Options(memory_per_gpu="24G").parameters(Resources(2, 1))["additional_parameters"]
    assert extra["mem-per-gpu"] == "24G"
    assert "mem" not in extra


def test_what_a_profile_says_to_sbatch_has_the_last_word() -> None:
    options = Options(partition="gpu", sbatch={"partition": "other", "requeue": False})
    extra = options.parameters(Resources(1, 1))["additional_parameters"]
    assert (extra["partition"], extra["requeue"]) == ("other", False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({}, [sys.executable], id="this one"),
        pytest.param({"python": "/opt/my env/bin/python"}, ["/opt/my env/bin/python"], id="another one"),
        pytest.param(
            {"container": "/images/bench.sif"},
            ["apptainer", "exec", "--nv", "/images/bench.sif", "python3"],
            id="in apptainer",
        ),
        pytest.param(
            {"container": "a b.sif", "container_options": ("--bind", "/a b"), "python": "/venv/bin/python"},
            ["apptainer", "exec", "--nv", "--bind", "/a b", "a b.sif", "/venv/bin/python"],
            id="in apptainer, with options",
        ),
        pytest.param(
            {"container": "docker://bench", "container_runtime": "pyxis"}, ["python3"], id="srun goes in"
        ),
    ],
)
def test_the_command_that_starts_python_on_a_node(options: dict[str, Any], words: list[str]) -> None:
    assert shlex.split(Options(**options).interpreter) == words


def test_pyxis_is_srun_that_goes_into_the_container() -> None:
    options = Options(
        container="docker://bench",
        container_runtime="pyxis",
        container_options=("--container-mounts=/scratch",),
        srun=("--mpi=none",),
    )
    assert options.srun_arguments == [
        "--kill-on-bad-exit=1",
        "--cpus-per-task=8",
        "--mpi=none",
        "--container-image=docker://bench",
        "--container-mounts=/scratch",
    ]
    assert not any("container" in word for word in Options(container="x.sif").srun_arguments)
