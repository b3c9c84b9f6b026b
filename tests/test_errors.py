from autoencoders.errors import first_line, suggestion


def test_suggestions_are_near_misses_only():
    assert suggestion("mnits", ["mnist", "svhn"]) == " Did you mean 'mnist'?"
    assert suggestion("zebra", ["mnist", "svhn"]) == ""


def test_no_message_holds_a_password():
    error = OSError("API request to https://me:p%40ss@host/api failed\nTraceback: https://me:p%40ss@host")
    assert first_line(error) == "API request to https://host/api failed"
