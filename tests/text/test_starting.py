"""What is said of the network of a model to start from."""

import pytest

from jaxrnn import InputError, stacked
from jaxrnn.text import Vocabulary
from jaxrnn.text.saved_run import Origin
from jaxrnn.text.settings import Settings
from jaxrnn.text.starting import agreed, taken_over

VOCABULARY = Vocabulary("abc")


@pytest.mark.parametrize("cell", ["gru", "mlstm", "mogrifier_lstm"])
def test_flags_that_repeat_what_a_model_is_are_taken_and_others_refused(cell):
    network = stacked(VOCABULARY.size, [8, 6], VOCABULARY.size, cell, skip=True)
    origin = Origin("model", 1, "", network, VOCABULARY)
    nothing_said = taken_over(Settings(), origin)
    for said in ({"cell": cell}, {"hidden": (8, 6)}, {"skip": True}, {"cell": cell, "skip": True}):
        assert agreed(nothing_said.but(**said), origin) == nothing_said
    for said in ({"cell": "lstm"}, {"hidden": (8,)}, {"skip": False}):
        with pytest.raises(InputError, match="is not the network of the model in model"):
            agreed(nothing_said.but(**said), origin)
