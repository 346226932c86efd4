#include "fuzz/wire.h"

#include <cstring>
#include <stdexcept>
#include <type_traits>

#include "fuzz/relations/relation.h"
#include "oracle/case_io.h"

namespace attnfuzz::wire {
namespace {

class Writer {
 public:
  explicit Writer(Kind kind) : bytes_(1, static_cast<char>(kind)) {}
  void raw(const void* from, size_t size) { bytes_.append(static_cast<const char*>(from), size); }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(std::string_view message) : left_(message.substr(1)) {}
  void raw(void* to, size_t size) {
    if (size > left_.size()) throw std::runtime_error("a message between processes is cut short");
    if (size > 0) std::memcpy(to, left_.data(), size);
    left_.remove_prefix(size);
  }

 private:
  std::string_view left_;
};

// One description of each type serves both ways: put(Writer, x) and put(Reader, x). What is written
// stays as it is.
template <class Ar, class T>
using Of = std::conditional_t<std::is_same_v<Ar, Writer>, const T, T>;

template <class T>
concept Plain = std::is_arithmetic_v<T> || std::is_enum_v<T> || std::is_same_v<T, std::byte>;

template <Plain T>
void put(Writer& w, const T& x) {
  w.raw(&x, sizeof x);
}
template <Plain T>
void put(Reader& r, T& x) {
  r.raw(&x, sizeof x);
}

/// A container's size; on reading the container gets it.
template <class C>
void put_size(Writer& w, const C& x) {
  put(w, uint64_t{x.size()});
}
template <class C>
void put_size(Reader& r, C& x) {
  uint64_t size = 0;
  put(r, size);
  x.resize(size);
}

template <class Ar>
void put(Ar& ar, Of<Ar, std::string>& x) {
  put_size(ar, x);
  ar.raw(x.data(), x.size());
}

template <class Ar, class... Ts>
requires(sizeof...(Ts) > 1) void put(Ar& ar, Ts&... xs);
template <class Ar>
void put(Ar& ar, Of<Ar, StepOutput>& x);
template <class Ar>
void put(Ar& ar, Of<Ar, NumberReading>& x);
template <class Ar>
void put(Ar& ar, Of<Ar, measure::Statement>& x);
template <class Ar>
void put(Ar& ar, Of<Ar, measure::Trial>& x);
void put(Writer& w, const Fault* const& x);
void put(Reader& r, const Fault*& x);
void put(Writer& w, const Relation* const& x);
void put(Reader& r, const Relation*& x);

template <class Ar, class T>
void put_elements(Ar& ar, Of<Ar, std::vector<T>>& x) {
  put_size(ar, x);
  if constexpr (Plain<T>) {
    ar.raw(x.data(), x.size() * sizeof(T));
  } else {
    for (auto& element : x) put(ar, element);
  }
}
template <class T>
void put(Writer& w, const std::vector<T>& x) {
  put_elements<Writer, T>(w, x);
}
template <class T>
void put(Reader& r, std::vector<T>& x) {
  put_elements<Reader, T>(r, x);
}

void put(Writer& w, const std::optional<int64_t>& x) {
  put(w, x.has_value());
  if (x) put(w, *x);
}
void put(Reader& r, std::optional<int64_t>& x) {
  bool has = false;
  put(r, has);
  if (has) put(r, x.emplace());
}

using Counts = std::map<std::string, uint64_t>;
void put(Writer& w, const Counts& x) {
  put_size(w, x);
  for (const auto& [key, count] : x) put(w, key, count);
}
void put(Reader& r, Counts& x) {
  uint64_t size = 0;
  for (put(r, size); size > 0; --size) {
    std::string word;
    put(r, word);
    put(r, x[word]);
  }
}

void put(Writer& w, const Reach& x) {
  put_size(w, x);
  for (const auto& [goal, rejection_reason] : x) {
    put(w, goal);
    put(w, rejection_reason);
  }
}
void put(Reader& r, Reach& x) {
  uint64_t size = 0;
  for (put(r, size); size > 0; --size) {
    std::string goal;
    put(r, goal);
    put(r, x[goal]);
  }
}

void put(Writer& w, const Fault* const& x) {
  put(w, std::string(x->name));
}
void put(Reader& r, const Fault*& x) {
  std::string word;
  put(r, word);
  x = find_fault(word);
}

void put(Writer& w, const Relation* const& x) {
  put(w, std::string(x == nullptr ? "" : x->name));
}
void put(Reader& r, const Relation*& x) {
  std::string word;
  put(r, word);
  x = find_relation(word);
}

void put(Writer& w, const Case& x) {
  put(w, write_case(x));
}
void put(Reader& r, Case& x) {
  std::string text;
  put(r, text);
  x = parse_case(text, "case from another process").c;
}

template <class Ar>
void put(Ar& ar, Of<Ar, Tensor>& x) {
  put(ar, x.dtype, x.shape, x.bytes);
}
void put(Writer& w, const std::map<Output, Tensor>& x) {
  put_size(w, x);
  for (const auto& [output, tensor] : x) put(w, output, tensor);
}
void put(Reader& r, std::map<Output, Tensor>& x) {
  uint64_t size = 0;
  for (put(r, size); size > 0; --size) {
    Output output{};
    put(r, output);
    put(r, x[output]);
  }
}
template <class Ar>
void put(Ar& ar, Of<Ar, StepOutput>& x) {
  put(ar, x.out);
  put(ar, x.lengths, x.positions, x.capacity);
  put(ar, x.more);
}
template <class Ar>
void put(Ar& ar, Of<Ar, Outcome>& x) {
  put(ar, x.status, x.text, x.steps, x.final, x.seconds);
}
template <class Ar>
void put(Ar& ar, Of<Ar, WorstElement>& x) {
  put(ar, x.step, x.b, x.h, x.i, x.d, x.got, x.want, x.bound, x.output);
}
template <class Ar>
void put(Ar& ar, Of<Ar, Verdict>& x) {
  put(ar, x.kind, x.failure, x.detail, x.dedup_text, x.steps, x.wrong, x.checked, x.worst_ratio,
      x.leaked, x.fits);
  put(ar, x.worst);
  put(ar, x.relation);
}
template <class Ar>
void put(Ar& ar, Of<Ar, Examination>& x) {
  put(ar, x.outcome);
  put(ar, x.verdict);
  put(ar, x.signature);
  static_assert(std::is_trivially_copyable_v<Precision>);
  ar.raw(&x.precision, sizeof x.precision);
}
template <class Ar>
void put(Ar& ar, Of<Ar, NumberReading>& x) {
  put(ar, x.names, x.constant, x.ambiguity);
}
template <class Ar>
void put(Ar& ar, Of<Ar, FailureClass>& x) {
  put(ar, x.kind, x.text, x.numbers, x.meanings, x.features, x.alone);
}
template <class Ar>
void put(Ar& ar, Of<Ar, measure::Statement>& x) {
  put(ar, x.about, x.words);
}
template <class Ar>
void put(Ar& ar, Of<Ar, measure::Trial>& x) {
  put(ar, x.fault, x.first, x.failing, x.explained, x.passing, x.kept);
}
template <class Ar>
void put(Ar& ar, Of<Ar, CampaignStats>& x) {
  put(ar, x.cases, x.passed, x.failed, x.skipped, x.seconds, x.worst_ratio, x.features,
      x.signatures, x.reach, x.timed_cases, x.judged_seconds, x.target_seconds, x.interrupted);
}
template <class Ar>
void put(Ar& ar, Of<Ar, Finding>& x) {
  put(ar, x.target, x.version, x.signature, x.seed, x.index, x.count);
  put(ar, x.original);
  put(ar, x.before);
  put(ar, x.first);
  put(ar, x.shrunk.c);
  put(ar, x.shrunk.history, x.shrunk.tried, x.shrunk.minimal);
  put(ar, x.last);
  put(ar, x.learned);
  put(ar, x.measured);
  put(ar, x.trials);
}

template <class Ar>
void put(Ar& ar, Of<Ar, Progress>& x) {
  put(ar, x.next, x.last);
  put(ar, x.stats);
}
template <class Ar>
void put(Ar& ar, Of<Ar, Failure>& x) {
  put(ar, x.index, x.first, x.signature);
  put(ar, x.failure);
  put(ar, x.verdict);
  put(ar, x.found);
}
template <class Ar>
void put(Ar& ar, Of<Ar, Shrinking>& x) {
  put(ar, x.known);
  put(ar, x.finding);
}
template <class Ar>
void put(Ar& ar, Of<Ar, Trouble>& x) {
  put(ar, x.bad_input, x.text);
}

template <class Ar, class... Ts>
requires(sizeof...(Ts) > 1) void put(Ar& ar, Ts&... xs) {
  (put(ar, xs), ...);
}

template <class T>
std::string packed(Kind kind, const T& x) {
  Writer writer(kind);
  put(writer, x);
  return writer.take();
}

}  // namespace

std::string pack(const Progress& x) {
  return packed(Kind::progress, x);
}
std::string pack(const Failure& x) {
  return packed(Kind::failure, x);
}
std::string pack(const Shrinking& x) {
  return packed(Kind::shrinking, x);
}
std::string pack(const Trouble& x) {
  return packed(Kind::trouble, x);
}
std::string pack(const Outcome& x) {
  return packed(Kind::outcome, x);
}

template <class T>
T unpack(std::string_view message) {
  Reader reader(message);
  T x;
  put(reader, x);
  return x;
}
template Progress unpack<Progress>(std::string_view);
template Failure unpack<Failure>(std::string_view);
template Shrinking unpack<Shrinking>(std::string_view);
template Trouble unpack<Trouble>(std::string_view);
template Outcome unpack<Outcome>(std::string_view);

}  // namespace attnfuzz::wire
