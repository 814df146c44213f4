"""Named tuples are what `typing` would make of them."""

from __future__ import annotations

import copy
import pickle
import typing

import pytest

from magents.core import tuples


class Ours(tuples.NamedTuple):
    """Said."""

    one: int
    """A field."""
    two: str = "2"
    three: tuple[str, ...] = ()

    @property
    def both(self) -> str:
        return f"{self.one}{self.two}"


class Theirs(typing.NamedTuple):
    """Said."""

    one: int
    two: str = "2"
    three: tuple[str, ...] = ()

    @property
    def both(self) -> str:
        return f"{self.one}{self.two}"


@pytest.mark.parametrize("kind", [Ours, Theirs])
def test_it_is_one(kind):
    made = kind(1, three=("x",))
    assert made == (1, "2", ("x",)) == kind(*made) == kind(three=("x",), one=1)
    assert (made.one, made.two, made.three, made.both) == (1, "2", ("x",), "12")
    assert isinstance(made, tuple)
    assert hash(made) == hash(tuple(made))
    assert made._replace(one=2, two="3") == (2, "3", ("x",))
    assert type(made._replace(one=2)) is kind
    assert made._asdict() == {"one": 1, "two": "2", "three": ("x",)}
    assert kind._fields == ("one", "two", "three")
    assert repr(made) == f"{kind.__name__}(one=1, two='2', three=('x',))"
    assert kind.__doc__ == "Said."
    assert type(copy.deepcopy(made)) is type(pickle.loads(pickle.dumps(made))) is kind
    match made:
        case kind(one, two="2"):
            assert one == 1


@pytest.mark.parametrize("kind", [Ours, Theirs])
def test_what_it_refuses(kind):
    made = kind(1)
    for field in ("one", "four"):
        with pytest.raises(AttributeError):
            setattr(made, field, 2)
    with pytest.raises(TypeError):
        kind()
    with pytest.raises(TypeError):
        kind(1, "2", (), 4)
    with pytest.raises(TypeError):
        kind(1, one=1)
    with pytest.raises(TypeError):
        kind(1, four=4)
    with pytest.raises((TypeError, ValueError)):
        made._replace(four=4)
