#pragma once
#include "oracle/answer.h"

namespace attnfuzz {

/// Fills the gradients in step.more, for a case without a cache, in double precision and O(n²):
///   dP = (grad_out · v) m / keep;  D = Σ P dP;  dS = P (dP − D);  dbias = dS;
///   dz = dS · softcap′;  dq = scale Σ dz k;  dk = scale Σ dz q;  dv = Σ (P m / keep) grad_out;
///   dsinks = −Σ P_sink D,
/// with dk and dv summed over the query heads that a KV head serves, dsinks over rows, dmem_k and
/// dmem_v over batch rows too. A hidden key's share is 0, whatever it holds. With a precision also
/// the bounds: oracle/bounds.md, "Gradients". Of a step that is judged on some of its rows, dq and
/// dbias are those of the rows, dk and dv those of sample_keys() (oracle/sample_keys.h), and what
/// is summed over all rows is unchecked.
void add_gradients(const Case& c, const Inputs& inputs, const Precision* precision,
                   StepAnswer& step);

}  // namespace attnfuzz
