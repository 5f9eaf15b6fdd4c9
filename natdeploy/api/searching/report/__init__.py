"""The report of a run: one HTML file that needs no network. Its data are one JSON document, which the page draws."""
