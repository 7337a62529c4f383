"""Check precision, device and weights of the network."""

from typing import TYPE_CHECKING

import numpy as np

from crowdbench.api.method import NetworkMethod
from crowdbench.system.files.writing import write_whole
from crowdbench.testing.equality import own_randomness
from crowdbench.testing.outcome import Check, Failed, Inapplicable, Outcome, Passed, described
from crowdbench.testing.pose_difference import changed, equal
from crowdbench.testing.pose_matching import nearest
from crowdbench.testing.subject import MethodSubject, keypoints_of
from crowdbench.weights.checkpoint_file.state_dict import put_weights

if TYPE_CHECKING:
    from torch import nn

# In bf16 numbers have eight bits: poses of trained networks move by a small part of a person.
_NEAR = 0.1
_MOST = 0.75

_WHY_HALF = "--precision bf16 and fp16 run the network under autocast."
_WHY_MOVES = "crowdbench, not the method, moves the network to its device and between number types."
_WHY_WEIGHTS = "published weights could not be loaded, or would not be the whole of the method."


def check_half_precision(subject: MethodSubject) -> Outcome:
    """The network under bf16 autocast against float32."""
    method = subject.require_network()
    subject.require_answers()
    scene = subject.ordinary.only([0, 4, 6])
    sample = subject.sample(scene)
    network = subject.built_network(method, precision="bf16")
    try:
        found = subject.run([[sample]], network=network, precision="bf16")[0][0]
    except Exception as error:
        return Failed("finite poses under bf16 autocast", described(error), _WHY_HALF)
    full = subject.answer(sample)
    if not full or not found:
        return Passed(f"{len(full)} poses in float32, {len(found)} in bf16")
    count = method.keypoints.count
    wanted, got = (keypoints_of(poses, count)[..., :2] for poses in (full, found))
    distances = np.linalg.norm(wanted - got[nearest(wanted, got)], axis=2)
    share = float((distances <= _NEAR * np.median(scene.boxes[:, 3])).mean())
    if share < _MOST and subject.weights is not None:
        return Failed(
            "poses in bf16 near those in float32",
            f"{share:.0%} of the keypoints are within {_NEAR:.0%} of a person's height",
            _WHY_HALF,
        )
    return Passed(f"{share:.0%} of the keypoints are near those of float32, with {subject.weights_said}")


def check_moves(subject: MethodSubject) -> Outcome:
    """To float64 and back, as a new network and as one that has been used."""
    import torch

    method = subject.require_network()
    subject.require_answers()
    with own_randomness(0):
        network = method.build_network().eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.to(torch.float64).to(torch.float32)
    after = network.state_dict()
    broken = [name for name in before if name not in after or not torch.equal(before[name], after[name])]
    if broken or len(before) != len(after):
        return Failed(
            "the same weights after .to(torch.float64).to(torch.float32)",
            f"{len(broken)} of {len(before)} tensors differ: {', '.join(broken[:5])}",
            _WHY_MOVES,
        )
    sample = subject.sample(subject.small[0])
    moved = subject.built_network(method)
    assert moved is not None
    wanted = subject.run([[sample]], network=moved)[0][0]
    moved.to(torch.float64).to(torch.float32)
    got = subject.run([[sample]], network=moved)[0][0]
    if not equal(wanted, got):
        return Failed(
            "the same poses after the network has been to float64 and back",
            changed([wanted], [got], method.keypoints.count)[1],
            _WHY_MOVES,
        )
    return Passed()


def check_cuda(subject: MethodSubject) -> Outcome:
    """The network on a GPU."""
    import torch

    method = subject.require_network()
    subject.require_answers()
    if not torch.cuda.is_available():
        return Inapplicable("there is no GPU here")
    device = torch.device("cuda")
    sample = subject.sample(subject.small[0])
    network = subject.built_network(method, device=device)
    try:
        found = subject.run([[sample]], network=network, device=device)[0][0]
    except Exception as error:
        return Failed("poses from a network on a GPU", described(error), _WHY_MOVES)
    share, words = changed([subject.answer(sample)], [found], method.keypoints.count)
    if share > 0.5 and subject.weights is not None:
        return Failed("about the same poses on a GPU as on the CPU", words, _WHY_MOVES)
    return Passed(words)


def check_weights_round_trip(subject: MethodSubject) -> Outcome:
    """Weights written as safetensors, and read into a network that began with others."""
    from safetensors.torch import save

    method = subject.require_network()
    subject.require_answers()
    network = _unchanged(subject, method)
    state = {name: tensor.detach().clone().contiguous() for name, tensor in network.state_dict().items()}
    if not state:
        return Passed("the network has no weights")
    path = subject.folder / "weights.safetensors"
    write_whole(path, save(state))
    try:
        again = subject.built_network(subject.fresh_method(), seed=1, weights=path)
    except Exception as error:
        return Failed("convert_state_dict to accept the network's own names", described(error), _WHY_WEIGHTS)
    sample = subject.sample(subject.small[0])
    wanted, got = subject.answer(sample), subject.run([[sample]], network=again)[0][0]
    if not equal(wanted, got):
        return Failed(
            "bit for bit the same poses from a network that was built with another seed and read the file",
            changed([wanted], [got], method.keypoints.count)[1]
            + "; something that decides the poses is not in the state dict",
            _WHY_WEIGHTS,
        )
    return Passed(f"{len(state)} tensors")


def _unchanged(subject: MethodSubject, method: NetworkMethod) -> "nn.Module":
    """The network as `crowdbench.engine.network.build_network` has it before it makes it fast."""
    with own_randomness(0):
        network = method.build_network()
    if subject.weights is not None:
        put_weights(network, subject.weights, method.convert_state_dict)
    return network


CHECKS = (
    Check("half_precision", "does the network run in bf16?", check_half_precision, _WHY_HALF),
    Check("moves", "does it survive a change of number type?", check_moves, _WHY_MOVES),
    Check("cuda", "does it run on a GPU?", check_cuda, _WHY_MOVES),
    Check("weights_round_trip", "are the weights all there is?", check_weights_round_trip, _WHY_WEIGHTS),
)
