"""Pools of datasets: each gives its share of an epoch, and every draw is its own."""

from __future__ import annotations

from collections import Counter

import pytest

from robustness.errors import InputError
from robustness.plans.finetune import parse_train_plan
from robustness.runners.data.load import Dataset, load_dataset
from robustness.runners.training.samples.cases import TrainingCases
from robustness.runners.training.samples.pool import PooledCases, limited
from robustness.workflows.demo_files import demo_data


@pytest.fixture(scope="module")
def brain() -> Dataset:
    return load_dataset(demo_data("brain"), split="train", prompt="p5", subject="image")


@pytest.fixture(scope="module")
def nuclei() -> Dataset:
    return load_dataset(demo_data("nuclei"), split="train", prompt="p5")


def cases(dataset: Dataset, key: str = "p5", **options: object) -> TrainingCases:
    return TrainingCases({key: dataset}, size=32, **options)


def test_without_weights_every_case_comes_once(brain: Dataset, nuclei: Dataset) -> None:
    pool = PooledCases([cases(brain), cases(nuclei)])
    assert len(pool) == len(brain) + len(nuclei)
    assert sorted(pool.order(0)) == list(range(len(pool)))
    assert pool.order(0) != pool.order(1)
    assert pool.order(3) == PooledCases([cases(brain), cases(nuclei)]).order(3)


def test_weights_share_the_epoch_and_small_sets_come_again_with_other_draws(brain: Dataset, nuclei: Dataset) -> None:
    pool = PooledCases([cases(brain), cases(nuclei, augment=["gain"])], weights=[3, 1])
    order = pool.order(0)
    assert len(order) == len(pool)
    from_nuclei = [index for index in order if index % len(pool) >= len(brain)]
    assert abs(len(from_nuclei) - len(pool) / 4) <= 0.5
    again = Counter(index % len(pool) for index in from_nuclei)
    assert max(again.values()) - min(again.values()) <= 1
    first, second = sorted(i for i in from_nuclei if i % len(pool) == len(brain))[:2]
    assert (pool.drawn(first, 0).image != pool.drawn(second, 0).image).any()
    assert (pool.drawn(first, 0).image == pool.drawn(first, 0).image).all()


def test_a_small_weight_takes_other_cases_in_each_epoch(brain: Dataset, nuclei: Dataset) -> None:
    pool = PooledCases([cases(brain), cases(nuclei)], weights=[1, 99])
    taken = [{i for i in pool.order(epoch) if i < len(brain)} for epoch in range(3)]
    assert [len(t) for t in taken] == [pool.shares[0]] * 3
    assert len(set.union(*taken)) > pool.shares[0]


def test_a_weight_that_leaves_a_set_without_a_sample_is_refused(brain: Dataset, nuclei: Dataset) -> None:
    with pytest.raises(InputError, match=r"data\.weight: expected weights that give each dataset"):
        PooledCases([cases(brain), cases(nuclei)], weights=[1, 1e9])


def test_samples_are_those_of_the_own_set(brain: Dataset, nuclei: Dataset) -> None:
    own = cases(nuclei)
    pool = PooledCases([cases(brain), own])
    assert (pool.plain(len(brain) + 2).image == own.plain(2).image).all()
    assert pool.drawn(len(brain) + 2, 5).text == own.drawn(2, 5).text
    assert pool.pools() == [nuclei]


def test_a_smaller_share_of_subjects_is_part_of_a_larger_one(brain: Dataset) -> None:
    kept = {f: set(limited(brain, f, seed=1)) for f in (0.001, 0.1, 0.5, 1.0)}
    assert kept[0.001] < kept[0.1] < kept[0.5] < kept[1.0] == set(range(len(brain)))
    subjects = {brain.infos[i].subject_id for i in kept[0.1]}
    assert len(subjects) == round(0.1 * len({info.subject_id for info in brain.infos}))
    assert all(i in kept[0.1] for i, info in enumerate(brain.infos) if info.subject_id in subjects)
    assert kept[0.1] != set(limited(brain, 0.1, seed=2))


def test_a_share_that_leaves_nobody_out_is_refused() -> None:
    one_brain = load_dataset(demo_data("brain"), split="train", prompt="p5")
    with pytest.raises(InputError, match=r"0\.2 of 1 in brain is all of them; give data\.subject = 'image'"):
        limited(one_brain, 0.2, seed=0)
    assert len(limited(one_brain, 1.0, seed=0)) == len(one_brain)


def test_a_plan_lists_several_datasets() -> None:
    tree = {"model": {"name": "film-unet"}, "data": [{"path": "a", "weight": 2.0}, {"path": "b", "prompt": "p2"}]}
    plan = parse_train_plan(tree)
    assert [d.path for d in (plan.data, *plan.pool)] == ["a", "b"]
    assert plan.sha256() == parse_train_plan({**tree, "data": [{**d, "path": "x"} for d in tree["data"]]}).sha256()
    assert plan.sha256() != parse_train_plan({**tree, "data": tree["data"][0]}).sha256()
    single = parse_train_plan({"model": {"name": "film-unet"}, "data": {"path": "a"}})
    assert single.sha256() == parse_train_plan({"model": {"name": "film-unet"}, "data": [{"path": "a"}]}).sha256()


def test_a_protocol_holds_for_every_dataset_of_a_pool() -> None:
    tree = {"model": {"name": "clipseg"}, "train": {"protocol": "medvlsm"}, "data": [{"path": "a"}, {"path": "b"}]}
    plan = parse_train_plan(tree)
    assert plan.pool[0].model_dump(exclude={"path"}) == plan.data.model_dump(exclude={"path"})
