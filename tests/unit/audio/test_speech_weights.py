import struct

import numpy as np
import pytest

from audio.speech_weights import parse_weights, read_weights
from domain.errors import ConfigurationError


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def block(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def number_field(number, value):
    return varint(number << 3) + varint(value)


def tensor(name, shape, values):
    raw = struct.pack(f"<{len(values)}f", *values)
    dims = b"".join(number_field(1, size) for size in shape)
    return dims + number_field(2, 1) + block(8, name.encode()) + block(9, raw)


def test_named_tensors_are_read_and_everything_else_is_passed_over():
    values = [float(i) for i in range(300)]
    node = block(1, block(4, b"Conv"))
    odd_kinds = varint(90 << 3 | 1) + b"12345678" + varint(91 << 3 | 5) + b"1234"
    graph = node + block(5, tensor("a", (2, 150), values)) + block(5, tensor("b", (1,), [7.0]))
    file = number_field(1, 8) + odd_kinds + block(7, graph) + block(8, b"opset")

    weights = parse_weights(memoryview(file))

    assert sorted(weights) == ["a", "b"]
    np.testing.assert_array_equal(weights["a"], np.reshape(values, (2, 150)))
    assert weights["b"].tolist() == [7.0]


def test_another_kind_of_file_is_refused():
    with pytest.raises(ConfigurationError, match="is not the file"):
        parse_weights(memoryview(number_field(7, 1)))


def test_the_package_carries_what_the_network_needs():
    weights = read_weights()

    assert weights["stft.forward_basis_buffer"].shape == (258, 1, 256)
    assert weights["onnx::LSTM_210"].shape == (1, 512, 128)
    assert all(np.isfinite(values).all() for values in weights.values())
