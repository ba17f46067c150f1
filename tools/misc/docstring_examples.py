"""Extension of griffe: what our docstrings call "Example" is shown as code."""

import griffe


class DocstringExamples(griffe.Extension):
    """Rename the section, as the parser of Google's style knows it in the plural only."""

    def on_object(self, *, obj: griffe.Object, **options) -> None:
        """Change the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = obj.docstring.value.replace('Example:\n', 'Examples:\n')
