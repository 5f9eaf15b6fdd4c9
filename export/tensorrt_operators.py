"""The ONNX operators that TensorRT's parser imports, by release.

Source: the support matrices and change logs of onnx-tensorrt. Where they disagree, an operator counts as missing: the
matrix of 8.5 lists HardSwish, while the documents of that release say that it is not supported.
"""

from __future__ import annotations

import dataclasses

Release = tuple[int, int]
_8_0 = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast Ceil Celu Clip Concat
    Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div Dropout Elu Equal Erf
    Exp Expand EyeLike Flatten Floor GRU Gather GatherElements Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater
    GreaterOrEqual HardSigmoid Identity If InstanceNormalization LRN LSTM LeakyRelu Less LessOrEqual Log LogSoftmax Loop
    LpNormalization LpPool MatMul Max MaxPool Mean Min Mul Neg NonMaxSuppression Not Or PRelu Pad Pow QuantizeLinear RNN
    RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
    ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence Scan Selu Shape Sigmoid Sin Sinh
    Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK
    Transpose Unsqueeze Upsample Where
"""
_8_2 = "Einsum GatherND IsNaN Round Scatter ScatterElements ScatterND Sign"
_8_4 = "Shrink Xor"
_8_5 = "GridSample MeanVarianceNormalization Mod NonZero OneHot RandomNormal RandomNormalLike RoiAlign Trilu"
_8_6 = "GroupNormalization HardSwish IsInf LayerNormalization"
_10_0 = "Gelu Hardmax Mish"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ParserRelease:
    """The operators that the parser of a release imports.

    Args:
        first: First version of TensorRT that has this parser.
        max_opset: Highest opset.
        operators: Operators.
        reduce_axes_input: Whether the axes of a reduction may be a (constant) input, as opset 18 and later write them.
    """

    first: Release
    max_opset: int
    operators: frozenset[str]
    reduce_axes_input: bool = False


def _operators(*texts: str) -> frozenset[str]:
    return frozenset(" ".join(texts).split())


RELEASES = (
    ParserRelease(first=(8, 0), max_opset=13, operators=_operators(_8_0)),
    ParserRelease(first=(8, 2), max_opset=13, operators=_operators(_8_0, _8_2)),
    ParserRelease(first=(8, 4), max_opset=17, operators=_operators(_8_0, _8_2, _8_4)),
    ParserRelease(first=(8, 5), max_opset=17, operators=_operators(_8_0, _8_2, _8_4, _8_5)),
    ParserRelease(first=(8, 6), max_opset=17, operators=_operators(_8_0, _8_2, _8_4, _8_5, _8_6)),
    ParserRelease(
        first=(10, 0),
        max_opset=20,
        operators=_operators(_8_0, _8_2, _8_4, _8_5, _8_6, _10_0),
        reduce_axes_input=True,
    ),
)
