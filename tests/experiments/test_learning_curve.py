from jaxrnn.command_line.learning_curve import draw_learning_curve

PNG = b"\x89PNG\r\n\x1a\n"


def test_a_learning_curve_is_a_picture_whatever_was_logged(tmp_path):
    training = [
        {"step": i, "characters": 1000 * i, "train_bits_per_character": 5 - i / 300}
        for i in range(400)
    ]
    valid = [{"step": 9, "characters": 9000, "valid_bits_per_character": 3.0}]
    gaps = [
        {"step": 10, "characters": 10_000, "train_bits_per_character": None},
        {"step": 10, "characters": 10_000, "valid_bits_per_character": None},
    ]
    for metrics in ([], training, valid, gaps, training + valid + gaps):
        draw_learning_curve(metrics, tmp_path / "curve.png")
        assert (tmp_path / "curve.png").read_bytes().startswith(PNG)
    assert [path.name for path in tmp_path.iterdir()] == ["curve.png"]
