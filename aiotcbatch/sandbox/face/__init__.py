"""The HTTP face: the endpoints of the API, by area."""
