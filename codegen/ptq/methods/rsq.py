# SPDX-License-Identifier: Apache-2.0
"""RSQ: GPTQ that errs least on the frames which the decoder listens to.

1. Rotate: that is quarot.py, as a transform in front of this method.
2. While a recording is transcribed, add up what the decoder's cross-attention gives each frame,
   over layers, heads and steps: a frame of silence or padding gets next to nothing.
3. Scale: a frame's weight r goes from LEAST_WEIGHT, at the least that any frame of the recording
   got, to 1 at the most, in proportion.
4. The moments of what frames multiply, in the encoder and in the cross graph, are the sum of
   (r x)^T (r x) over their rows x. Those of the decoder, whose rows are steps, are as for GPTQ.
5. Quantize: as gptq.py does, with these moments.

The paper's tokens are those of a decoder alone, and their weight is what later tokens of a layer's
own attention give them; here what is heard has its weight from who listens.
Source: Y.-L. Sung et al., RSQ: Learning from Important Tokens Leads to Better Quantized LLMs, 2025
(arXiv 2503.01820), section 4: attention concentration, linearly mapped to a least weight .. 1.
"""

from __future__ import annotations

from codegen.ptq.methods import gptq

#: Tells the caller that moments are wanted, and so recordings.
NEEDS_MOMENTS = True
#: Tells the caller that the moments are those of weighed frames. Of 0.1, 0.3 and no weights, this
#: came nearest to the float model's next tokens on development recordings, by a tenth or less:
#: Moonshine tiny with int3 in blocks of 32 and with int4, Whisper tiny.en with int4.
LEAST_WEIGHT = 0.3

quantize = gptq.quantize
