"""A network's JSON as a person may have written it: brought to what makes a network, or refused."""

from typing import Any

from jaxrnn.core.checks import listed, shown, whole_number
from jaxrnn.core.errors import InputError
from jaxrnn.core.layers import FULL, INPUT, OUTPUT, Connection, Layer, NGram

EXPECTED = "expected an object with 'input', 'layers' and 'connections'"
_NETWORK = ("input", "layers", "connections", "outputs", "ngrams")
_LAYER = ("name", "size", "cell", "bias", "backward")
_CONNECTION = ("source", "target", "delay", "kind")
_NGRAM = ("name", "length", "size", "source", "codes")


def read_record(
    record: Any, symbols: int | None
) -> tuple[Any, list[Layer], list[Connection], list[str], list[NGram]]:
    """Inputs, layers, connections, outputs and n-grams; as for `Network.from_dict`."""
    try:
        for part, known in (
            (record, _NETWORK),
            *((layer, _LAYER) for layer in record["layers"]),
            *((connection, _CONNECTION) for connection in record["connections"]),
            *((ngram, _NGRAM) for ngram in record.get("ngrams", ())),
        ):
            if isinstance(part, dict) and (unknown := set(part) - set(known)):
                raise InputError(
                    f"the network's JSON has an unknown '{min(unknown)}'; "
                    f"expected {', '.join(known)}"
                )
        layers = [_layer(x, symbols) for x in record["layers"]]
        connections = [_connection(c) for c in record["connections"]]
        outputs = [_text(x) for x in listed(record.get("outputs", [OUTPUT]), "outputs")]
        ngrams = [_ngram(x) for x in record.get("ngrams", ())]
        return _inputs(record, symbols), layers, connections, outputs, ngrams
    except InputError:
        raise
    except KeyError as missing:
        raise InputError(
            f"the network's JSON lacks {missing}; expected 'input', 'layers' (each with "
            "'name', 'size', 'cell') and 'connections' (each with 'source', 'target', 'delay')"
            + ", and of 'ngrams' each 'name', 'length', 'size'"
            * ("ngrams" in record)
        ) from None
    except (TypeError, AttributeError) as error:
        raise InputError(f"the network's JSON cannot be read ({error}); {EXPECTED}") from None


def _inputs(record: Any, symbols: int | None) -> int | dict[str, int]:
    if not isinstance(record.get("input"), dict):
        return _size(record, "input", symbols)
    given = record["input"]
    return {name: _size(given, name, symbols if name == INPUT else None) for name in given}


def _layer(record: Any, symbols: int | None) -> Layer:
    return Layer(
        _text(record["name"]),
        _size(record, "size", symbols if record["name"] == OUTPUT else None),
        _text(record["cell"]),
        bias=_flag(record.get("bias", True)),
        backward=_flag(record.get("backward", False)),
    )


def _connection(record: Any) -> Connection:
    source, target = _text(record["source"]), _text(record["target"])
    kind = _text(record.get("kind", FULL))
    return Connection(source, target, _whole(record.get("delay", 0)), kind)


def _ngram(record: Any) -> NGram:
    codes = record.get("codes")
    return NGram(
        _text(record["name"]),
        _whole(record["length"]),
        _whole(record["size"]),
        _text(record.get("source", INPUT)),
        None if codes is None else tuple(map(_whole, codes)),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"the network's JSON has {shown(value)} where a name is expected")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"the network's JSON has {shown(value)} where true or false is expected")
    return value


def _whole(value: Any) -> int:
    try:
        return whole_number(value, "it")
    except InputError:
        raise InputError(
            f"the network's JSON has {shown(value)} where a whole number is expected"
        ) from None


def _size(record: Any, key: str, default: int | None) -> int:
    size = record[key] if default is None else record.get(key)
    return _whole(default if size is None else size)
