#pragma once
#include "targets/cuda/flash.h"
#include "targets/cuda/work.h"

namespace attnfuzz::cuda {

/// How a target launches its kernels: one after another, or as a graph.
enum class Launch : uint8_t { stream, graph };

template <class T, class Backend>
attnfuzz_status attend_flash(Backend& backend, const attnfuzz_call& call, Mistake mistake,
                             Launch launch) {
  using Kernel = Flash<T, typename Backend::Block>;
  Work<Backend> work(backend, call);
  typename Kernel::Params p{};
  const auto q = work.template input<T>("q"), k = work.template input<T>("k", true),
             v = work.template input<T>("v", true);
  const auto out = work.template output<T>("out");
  p.q = q.data;
  p.k = k.data;
  p.v = v.data;
  p.out = out.data;
  p.q_strides = q.strides;
  p.k_strides = k.strides;
  p.v_strides = v.strides;
  p.out_strides = out.strides;
  p.with_sinks = call.tensor(&call, "sinks") != nullptr;
  if (p.with_sinks) p.sinks = work.template input<T>("sinks").data;
  p.with_lse = call.tensor(&call, "lse") != nullptr;
  if constexpr (!std::is_same_v<T, double>)
    if (p.with_lse) p.lse = work.template output<float>("lse").data;
  p.num_heads = call.num_heads;
  p.num_kv_heads = call.num_kv_heads;
  p.q_len = call.q_len;
  p.kv_len = call.kv_len;
  p.head_dim = call.head_dim;
  p.head_dim_v = call.head_dim_v;
  p.exact_scale = work.number("scale");
  p.exact_softcap = work.number("softcap");
  p.scale = static_cast<float>(p.exact_scale);
  p.softcap = static_cast<float>(p.exact_softcap);
  p.nan_if_masked = work.word("fully_masked", "zero") == "nan";
  p.mask = work.mask(call.kv_len);
  p.mistake = mistake;
  if (launch == Launch::graph) backend.capture();
  backend.template launch<Kernel>(FlashShape::blocks(call.batch, call.num_heads, call.q_len),
                                  shared_bytes_of<T>(FlashShape(call.head_dim, call.head_dim_v)),
                                  p);
  if (launch == Launch::graph) backend.replay();
  return work.finish();
}

/// By the case's dtype.
template <class Backend, Mistake mistake = Mistake::none, Launch launch = Launch::stream>
attnfuzz_status flash(const attnfuzz_call* call) {
  Backend& backend = Backend::instance();
  const std::string_view dtype = call->word(call, "dtype", "");
  if (dtype == "f16") return attend_flash<Half>(backend, *call, mistake, launch);
  if (dtype == "bf16") return attend_flash<Bfloat>(backend, *call, mistake, launch);
  if (dtype == "f32") return attend_flash<float>(backend, *call, mistake, launch);
  return call->stop(call, ATTNFUZZ_ERROR, "expected f16, bf16 or f32");
}

/// In double precision: the oracle on the device.
template <class Backend>
attnfuzz_status flash_f64(const attnfuzz_call* call) {
  return attend_flash<double>(Backend::instance(), *call, Mistake::none, Launch::stream);
}

}  // namespace attnfuzz::cuda
