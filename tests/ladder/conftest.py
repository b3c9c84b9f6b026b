from figure_fixtures import assert_legible, drawn, images, long_names  # noqa: F401
