"""Which images are in which batch."""

from hypothesis import given
from hypothesis import strategies as st

from crowdbench.training.sampler import EpochSampler

SIZES = {"images": st.integers(1, 60), "batch": st.integers(1, 7), "seed": st.integers(0, 5)}


@given(**SIZES, processes=st.integers(1, 4), epoch=st.integers(0, 3))
def test_an_epoch_has_every_image_and_repeats_only_to_give_processes_equally_many(
    images: int, batch: int, seed: int, processes: int, epoch: int
) -> None:
    order = EpochSampler(images, batch, processes, seed)
    shares = [list(order.epoch(epoch, rank)) for rank in range(processes)]
    taken = sorted(image for share in shares for batch_ in share for image in batch_)
    assert set(taken) == set(range(images))
    assert len(taken) == images + -images % processes
    assert {len(share) for share in shares} == {order.batches}
    for together in zip(*shares, strict=True):
        assert len({len(batch_) for batch_ in together}) == 1
        assert 1 <= len(together[0]) <= batch


@given(**SIZES, halves=st.sampled_from([2, 3]))
def test_a_step_takes_the_same_images_however_many_processes_share_it(
    images: int, batch: int, seed: int, halves: int
) -> None:
    images *= halves  # nothing to repeat
    alone, shared = EpochSampler(images, batch * halves, 1, seed), EpochSampler(images, batch, halves, seed)
    together = zip(*(shared.epoch(0, rank) for rank in range(halves)), strict=True)
    for whole, parts in zip(alone.epoch(0, 0), together, strict=True):
        assert set(whole) == {image for part in parts for image in part}


@given(**SIZES, first=st.integers(0, 10))
def test_a_continued_epoch_is_the_rest_of_a_whole_one(images: int, batch: int, seed: int, first: int) -> None:
    order = EpochSampler(images, batch, 1, seed)
    assert list(order.epoch(2, 0, first)) == list(order.epoch(2, 0))[first:]


def test_epochs_and_seeds_shuffle_differently() -> None:
    orders = [list(EpochSampler(50, 50, 1, seed).epoch(epoch, 0)) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order[0]) for order in orders}) == 4
