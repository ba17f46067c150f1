"""Constructors that explain arguments they do not take."""

import inspect


class ExplainsArguments:
    """Mixin for a head: arguments of the head that it replaces are refused in a sentence."""

    def __new__(cls, *args, **config):
        """Explain arguments that belong to another head, such as the one it replaces."""
        known = set()
        for owner in cls.__mro__:
            parameters = inspect.signature(owner.__init__).parameters
            known.update(parameters)
            # what a constructor hands on to its base class is known there
            if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
                break
        unknown = [name for name in config if name not in known]
        if unknown:
            raise TypeError(
                f'{cls.__name__} takes no {", ".join(unknown)}: leave it out, or if it comes from '
                'a base config with another head, add _delete_=True to the head in your config'
            )
        return super().__new__(cls)


def check_whole(**settings: int | None) -> None:
    """Refuse settings that are neither whole numbers nor None.

    Raises:
        ValueError: One of them is something else.
    """
    for name, value in settings.items():
        if value is not None and type(value) is not int:
            raise ValueError(f'{name} must be a whole number, got {value!r}')
