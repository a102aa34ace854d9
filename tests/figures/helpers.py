"""What several tests of figures share."""

from xml.etree import ElementTree


def texts(svg):
    """All texts of an SVG."""
    return {text.strip() for text in ElementTree.fromstring(svg).itertext() if text.strip()}
