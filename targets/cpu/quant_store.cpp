#include "targets/cpu/quant_store.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "targets/cpu/query_rows.h"

namespace attnfuzz {
namespace {

DType float_type(Quant quant) {
  return quant == Quant::e4m3 ? DType::e4m3 : DType::e5m2;
}

/// Vectors of one width as bytes: where scales are by token the scale, then a byte for each
/// element.
class Codec {
 public:
  Codec(const Cache& cache, int64_t dim)
      : quant_(cache.quant),
        by_token_(cache.scales == Scales::token),
        dim_(dim),
        most_(static_cast<float>(largest(cache.quant))) {
    for (size_t code = 0; code < values_.size(); ++code) {
      const auto byte = static_cast<uint8_t>(code);
      double value = static_cast<int8_t>(byte);
      if (quant_ != Quant::int8) decode(float_type(quant_), &byte, {&value, 1});
      values_[code] = static_cast<float>(value);
    }
  }

  int64_t bytes() const { return (by_token_ ? 4 : 0) + (dim_ + 3) / 4 * 4; }

  template <class T>
  void write(const T* x, float scale, std::byte* to) const {
    if (by_token_) {
      float most = 0;
      for (int64_t d = 0; d < dim_; ++d) most = std::max(most, std::abs(static_cast<float>(x[d])));
      scale = most / most_;
      std::memcpy(to, &scale, 4);
      to += 4;
    }
    for (int64_t d = 0; d < dim_; ++d) {
      const float y = scale > 0 ? static_cast<float>(x[d]) / scale : 0;
      const double kept = std::clamp(y, -most_, most_);
      if (quant_ == Quant::int8)
        to[d] = static_cast<std::byte>(static_cast<int8_t>(std::nearbyint(kept)));
      else
        encode(float_type(quant_), {&kept, 1}, to + d);
    }
  }

  template <class T>
  void read(const std::byte* from, float scale, T* x) const {
    if (by_token_) {
      std::memcpy(&scale, from, 4);
      from += 4;
    }
    for (int64_t d = 0; d < dim_; ++d)
      x[d] = static_cast<T>(values_[static_cast<size_t>(from[d])] * scale);
  }

 private:
  Quant quant_;
  bool by_token_;
  int64_t dim_;
  float most_;
  std::array<float, 256> values_{};
};

/// The head's scale, where scales are by head.
std::vector<float> scales_of(const Case& c, const Inputs& inputs, std::string_view name) {
  if (c.cache->scales == Scales::token)
    return std::vector<float>(static_cast<size_t>(c.problem.num_kv_heads));
  const auto* scales = inputs.at(name).as<float>();
  return {scales, scales + c.problem.num_kv_heads};
}

template <class T>
class QuantStore : public KeyStore {
 public:
  QuantStore(const Case& c, const Inputs& inputs, MakeStore make)
      : dim_(c.problem.head_dim),
        dim_v_(c.problem.head_dim_v),
        heads_(c.problem.num_kv_heads),
        k_(*c.cache, dim_),
        v_(*c.cache, dim_v_),
        k_scales_(scales_of(c, inputs, "k_scales")),
        v_scales_(scales_of(c, inputs, "v_scales")),
        added_(static_cast<size_t>(c.problem.batch)) {
    StoreShape shape(c.problem, *c.cache);
    shape.k_bytes = k_.bytes();
    shape.v_bytes = v_.bytes();
    bytes_ = make(shape);
  }

  void append(const NewTokens& tokens) override {
    Added& added = added_[static_cast<size_t>(tokens.b)];
    added.k.resize(static_cast<size_t>(tokens.count * heads_ * k_.bytes()));
    added.v.resize(static_cast<size_t>(tokens.count * heads_ * v_.bytes()));
    NewTokens packed{{added.k.data(), 0, k_.bytes(), heads_ * k_.bytes()},
                     {added.v.data(), 0, v_.bytes(), heads_ * v_.bytes()},
                     tokens.b,
                     0,
                     tokens.count};
    for (int64_t i = 0; i < tokens.count; ++i) {
      for (int64_t h = 0; h < heads_; ++h) {
        const auto head = static_cast<size_t>(h);
        k_.write(reinterpret_cast<const T*>(tokens.k_at(h, i)), k_scales_[head],
                 added.k.data() + (i * heads_ + h) * k_.bytes());
        v_.write(reinterpret_cast<const T*>(tokens.v_at(h, i)), v_scales_[head],
                 added.v.data() + (i * heads_ + h) * v_.bytes());
      }
    }
    bytes_->append(packed);
  }

  void segments(int64_t b, int64_t head, std::vector<KeySegment>& to) const override {
    std::vector<KeySegment> packed;
    bytes_->segments(b, head, packed);
    int64_t count = 0;
    for (const KeySegment& segment : packed) count += segment.count;
    keys_.resize(static_cast<size_t>(count * dim_));
    values_.resize(static_cast<size_t>(count * dim_v_));
    T* k = keys_.data();
    T* v = values_.data();
    for (KeySegment segment : packed) {
      const KeySegment from = segment;
      segment.k = reinterpret_cast<const std::byte*>(k);
      segment.v = reinterpret_cast<const std::byte*>(v);
      segment.k_stride = dim_ * static_cast<int64_t>(sizeof(T));
      segment.v_stride = dim_v_ * static_cast<int64_t>(sizeof(T));
      for (int64_t j = 0; j < from.count; ++j, k += dim_, v += dim_v_) {
        k_.read(from.k + j * from.k_stride, k_scales_[static_cast<size_t>(head)], k);
        v_.read(from.v + j * from.v_stride, v_scales_[static_cast<size_t>(head)], v);
      }
      to.push_back(segment);
    }
  }

  void settle() override { bytes_->settle(); }
  void reorder(std::span<const int64_t> rows) override { bytes_->reorder(rows); }
  void evict(int64_t b, int64_t first, int64_t count) override { bytes_->evict(b, first, count); }
  void crop(int64_t length) override { bytes_->crop(length); }
  int64_t next_position(int64_t b) const override { return bytes_->next_position(b); }
  int64_t length(int64_t b) const override { return bytes_->length(b); }
  int64_t capacity() const override { return bytes_->capacity(); }
  int64_t reach(int64_t head) const override { return bytes_->reach(head); }
  int64_t chunk() const override { return bytes_->chunk(); }
  int64_t sinks() const override { return bytes_->sinks(); }

 private:
  /// A step's tokens as bytes: the other store may read them until the step is settled.
  struct Added {
    std::vector<std::byte> k, v;
  };

  int64_t dim_, dim_v_, heads_;
  Codec k_, v_;
  std::vector<float> k_scales_, v_scales_;
  std::vector<Added> added_;
  std::unique_ptr<KeyStore> bytes_;
  mutable std::vector<T> keys_, values_;  ///< what was read last
};

}  // namespace

std::unique_ptr<KeyStore> quantised_store(const Case& c, const Inputs& inputs, MakeStore make) {
  return with_element_type(c.problem.dtype,
                           [&]<class T>(std::type_identity<T>) -> std::unique_ptr<KeyStore> {
                             return std::make_unique<QuantStore<T>>(c, inputs, make);
                           });
}

}  // namespace attnfuzz
