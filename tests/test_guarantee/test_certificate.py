import pytest
import torch
from synthetic_answers import LARGEST, drawn

from iptq_mm.guarantee import Answers, Guarantee, flag_alarm

ASKED = dict(agreement=0.99, confidence=0.95, target=0.999, guarded=False)


def made(count=400, **options):
    answers = drawn(count, torch.Generator().manual_seed(3))
    return Guarantee.of(answers, 0.01, LARGEST, **{**ASKED, **options}), answers


def test_a_guarantee_describes_its_images():
    found, answers = made()
    assert found.images == 400 and found.agreed == 400 - int(answers.differ.sum())
    assert found.flagged == int((answers.margins < found.margin).sum()) > 0
    above = answers.margins >= found.margin
    assert found.wrong == int((answers.differ & above).sum())
    assert found.at_least < found.agreed / 400


def test_a_guard_counts_what_the_wider_model_says():
    found, answers = made(guarded=True)
    flagged = answers.margins < found.margin
    wrong = torch.where(flagged, answers.wide_differs, answers.differ)
    assert found.wrong == int(wrong.sum())
    assert 'of the guarded model' in '\n'.join(found.sentences())


def test_a_wider_model_that_is_wrong_is_refused():
    answers = drawn(400, torch.Generator().manual_seed(3))
    answers.wide_differs[:] = True
    with pytest.raises(ValueError, match='the wider model itself differs on 400'):
        Guarantee.of(answers, 0.01, LARGEST, **{**ASKED, 'guarded': True})


def test_what_is_refused_says_how_much_would_be_borne_out():
    answers = drawn(372, torch.Generator().manual_seed(3))
    answers.differ[:] = answers.wide_differs[:] = False
    answers.wide_differs[0] = True
    answers.margins[0] = 0
    asked = {**ASKED, 'guarded': True, 'confidence': 0.95}
    with pytest.raises(
        ValueError, match='with confidence 0.95, at most 0.9873: the wid'
    ):
        Guarantee.of(answers, 0.01, LARGEST, **{**asked, 'agreement': 0.99})
    assert Guarantee.of(answers, 0.01, LARGEST, **{**asked, 'agreement': 0.9873})


def test_a_dict_gives_it_back():
    found, _ = made()
    assert Guarantee.from_dict({**found.to_dict(), 'evaluation': {}}) == found
    with pytest.raises(ValueError, match='has no margin'):
        Guarantee.from_dict({k: v for k, v in found.to_dict().items() if k != 'margin'})


def test_answers_of_logits():
    integers = torch.tensor([[9, 2, 4], [5, 5, 0], [1, 0, 7]], dtype=torch.int16)
    floats = torch.tensor([[0.875, 0.0, 1.0], [0.5, 0.75, 0.0], [0.0, 0.0, 0.8125]])
    wide = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    found = Answers.of(integers, 0.125, floats, wide)
    assert found.margins.tolist() == [5, 0, 6]
    assert found.differ.tolist() == [True, True, False]
    assert found.wide_differs.tolist() == [False, True, False]
    # Float margins of the same classes, in integers: -1; 2 or -2, of a tie; 6.5.
    assert found.errors[0] == 6 and found.errors[1] in (-2, 2) and found.errors[2] == 0
    assert len(Answers.joined([found, found[:1]])) == 4


def test_false_alarms_are_rare_and_true_ones_are_raised():
    generator = torch.Generator().manual_seed(0)
    raised = 0
    for _ in range(400):
        held, seen = (torch.rand(300, generator=generator) < 0.05 for _ in range(2))
        raised += flag_alarm(int(seen.sum()), 300, int(held.sum()), 300, 0.05).raised
    assert raised <= 34  # of 400, at most 5 % by chance: 34 is 1 in 1000
    assert flag_alarm(60, 300, 15, 300).raised
    assert not flag_alarm(0, 0, 15, 300).raised
