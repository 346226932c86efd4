#include "reports/triage/grammar.h"

#include <algorithm>
#include <iterator>

#include "fuzz/error_text.h"
#include "reports/triage/shape_forms.h"
#include "reports/triage/text_parts.h"
#include "reports/triage/words.h"

namespace attnfuzz::triage {
namespace {

using Kind = Mention::Kind;

constexpr std::string_view kDimWords[] = {"dim",  "dimension", "dims",  "dimensions",
                                          "axis", "axes",      "index", "indices"};
constexpr std::string_view kRankWords[] = {"rank", "ndim", "ndims"};
constexpr std::string_view kRankAfter[] = {"dimensions", "dims", "dimensional", "axes",
                                           "dim tensor"};
constexpr std::string_view kElementsBefore[] = {"input of size", "array of size",  "numel",
                                                "total size",    "of total size",  "tensor with",
                                                "elements",      "array with size"};
constexpr std::string_view kElementsAfter[] = {"values", "elements", "entries"};
constexpr std::string_view kNoneBefore[] = {
    "start",         "line",     "step",      "seed",     "pid",    "offset",     "address",
    "tensor number", "argument", "arg",       "args",     "input",  "output",     "operand",
    "position",      "pos",      "error",     "code",     "layer",  "entry",      "opset",
    "version",       "device",   "gpu",       "rank:",    "signal", "status",     "node",
    "stage",         "epoch",    "iteration", "request",  "id",     "order",      "slot",
    "cuda",          "layers",   "block id",  "batch id", "item",   "item number"};
/// Of these a small number tells which one; a larger one in brackets is their size.
constexpr std::string_view kCounted[] = {"input", "output", "operand", "entry", "slot", "item"};
constexpr std::string_view kNoneAfter[] = {"GiB",   "MiB",  "KiB",   "GB",      "MB",
                                           "bytes", "ms",   "s",     "seconds", "%",
                                           "bit",   "bits", "times", "steps",   "layers"};

/// Whether the word at the end names an axis, not a file.
bool names_axis(std::string_view text) {
  size_t from = text.size();
  while (from > 0 && is_word(text[from - 1])) --from;
  const bool is_suffix = from > 0 && (text[from - 1] == '.' || text[from - 1] == '/');
  return !is_suffix && text.size() - from > 1 && axis_of(text.substr(from)).axis != Axis::none;
}

Kind kind_of(std::string_view text, size_t begin, size_t end) {
  const std::string_view before = last_words(text, begin, 60), after = text.substr(end, 40);
  const char left = begin > 0 ? text[begin - 1] : ' ', right = at(text, end);
  const bool path = left == '/' && (begin < 2 || !is_digit(text[begin - 2]));
  // "file.py:12", but "len:2" is a size.
  const bool is_line = left == ':' && begin > 1 && is_word(text[begin - 2]) &&
                       !names_axis(text.substr(0, begin - 1));
  if (left == '.' || is_line || path || left == '#') return Kind::none;
  if (right == ':' && is_digit(at(text, end + 1))) return Kind::none;
  if (before.ends_with(": ") && after.starts_with(" :")) return Kind::none;  // an error's code
  const size_t sign = left == '-' ? begin - 1 : begin;                       // of "-1"
  const char opens = sign > 0 ? text[sign - 1] : ' ';
  const bool is_call = sign > 1 && is_word(text[sign - 2]);
  if ((opens == '[' && (right == ']' || right == ':')) || (opens == '(' && right == ')')) {
    static constexpr std::string_view shapes[] = {"shape", "size",  "ne",
                                                  "dims",  "sizes", "get_shape"};
    if (is_call && ends_with_word(text.substr(0, sign - 1), shapes)) return Kind::dim;
    if (is_call && opens == '[') return Kind::none;
  }
  const bool is_small = end - begin == 1 && text[begin] < '8';  // no tensor has more axes
  // "dimension 4 at axis 2": a size, and where.
  static constexpr std::string_view where[] = {"at axis", "at index", "at dim", "at dimension"};
  if (starts_with_word(after, where)) return Kind::size;
  if (is_small && ends_with_word(before, kDimWords)) {
    static constexpr std::string_view sizes[] = {"got dimension", "expected dimension"};
    return ends_with_word(before, sizes) && text.find(" at axis ") != text.npos ? Kind::size
                                                                                : Kind::dim;
  }
  if (ends_with_word(before, kRankWords) || starts_with_word(after, kRankAfter)) return Kind::rank;
  if (ends_with_word(before, kElementsBefore) || starts_with_word(after, kElementsAfter))
    return Kind::elements;
  // "start (1022) + length (3)": tokens that are there already.
  static constexpr std::string_view start[] = {"start"};
  if (ends_with_word(before, start) && after.find("len") != after.npos)
    return text[begin] == '0' ? Kind::none : Kind::size;
  if ((is_small || !ends_with_word(before, kCounted)) && ends_with_word(before, kNoneBefore))
    return Kind::none;
  if (starts_with_word(after, kNoneAfter)) return Kind::none;
  return end - begin == 1 && text[begin] == '0' && left != '(' ? Kind::none : Kind::size;
}

/// Shapes that are none: strides, offsets.
bool is_no_shape(std::string_view before) {
  static constexpr std::string_view words[] = {
      "stride", "strides", "perm", "permutation", "permute", "axes", "axis", "line", "version"};
  return ends_with_word(before, words);
}

void read_number(std::string_view text, const TextNumber& number, std::vector<Mention>& all) {
  const size_t end = number.offset + number.length;
  size_t begin = number.offset;
  const bool negative =
      begin > 0 && text[begin - 1] == '-' && (begin < 2 || !is_word(text[begin - 2]));
  const Kind kind = number.role == TextNumber::Role::noise && number.length > 9 ? Kind::none
                    : !std::all_of(text.begin() + static_cast<ptrdiff_t>(begin),
                                   text.begin() + static_cast<ptrdiff_t>(end), is_digit)
                        ? Kind::none
                        : kind_of(text, begin, end);
  const int64_t value = negative ? -number.value : number.value;
  all.push_back({kind, {{value, begin, number.length, ""}}, begin, end, "", "", false, -1});
}

/// "head_size must be one of [32, 64, 128]": sizes of one axis, the least first.
bool is_choice(std::string_view text, const Mention& shape) {
  static constexpr std::string_view words[] = {
      "in",    "one",     "only be", "only support", "supports", "range",    "only supports",
      "among", "allowed", "choices", "supported",    "either",   "available"};
  if (shape.sizes.size() < 2 || shape.sizes[0].value < 1) return false;
  for (size_t k = 1; k < shape.sizes.size(); ++k)
    if (shape.sizes[k].value <= shape.sizes[k - 1].value) return false;
  return ends_with_word(last_words(text, shape.begin, 40), words);
}

/// A list of more sizes than a tensor has axes is a list of sizes.
void add_shape(std::string_view text, Mention shape, std::vector<Mention>& all) {
  constexpr size_t most_axes = 8;
  if (shape.sizes.size() <= most_axes && !is_choice(text, shape))
    return all.push_back(std::move(shape));
  for (Size& size : shape.sizes)
    all.push_back({size.value > 0 ? Kind::size : Kind::none,
                   {size},
                   size.offset,
                   size.offset + size.length,
                   "",
                   "",
                   false,
                   -1});
}

/// ggml writes the innermost axis first.
bool is_reversed(std::string_view text, const Mention& shape) {
  static constexpr std::string_view reversed[] = {"ne"};
  if (ends_with_word(shape.before, reversed)) return true;
  for (const std::string_view word : {"ggml", "GGML", "mul_mat:"})
    if (text.find(word) != text.npos) return shape.sizes.size() == 4;
  // The tensors of its files.
  for (const std::string_view word : {"blk.", "llama.cpp", "llama_model_load", "gguf"})
    if (text.find(word) != text.npos) return true;
  return false;
}

/// A list of one size is a shape beside a longer one ("(5,) (3,4)"), and a number elsewhere
/// ("B=[16]").
void mark_numbers(std::vector<Mention>& all) {
  const auto is_long = [](const Mention& each) {
    return each.kind == Kind::shape && each.sizes.size() > 1;
  };
  const auto counts = [](const Mention& each) {
    return each.kind == Kind::shape || each.kind == Kind::size;
  };
  for (size_t k = 0; k < all.size(); ++k) {
    if (all[k].kind != Kind::shape || all[k].sizes.size() != 1) continue;
    const auto here = all.begin() + static_cast<ptrdiff_t>(k);
    const auto next = std::find_if(here + 1, all.end(), counts);
    const auto last = std::find_if(std::make_reverse_iterator(here), all.rend(), counts);
    const bool beside =
        (next != all.end() && is_long(*next)) || (last != all.rend() && is_long(*last));
    if (!beside || all[k].before.ends_with('=')) all[k].kind = Kind::size;
  }
}

}  // namespace

std::vector<Mention> mentions_in(std::string_view text) {
  std::vector<Mention> all;
  const std::vector<TextNumber> numbers = numbers_in(text);
  size_t next = 0;  // of the numbers
  for (size_t k = 0; k < text.size(); ++k) {
    while (next < numbers.size() && numbers[next].offset < k) ++next;
    auto shape = shape_at(text, k);
    if (shape) {
      if (is_no_shape(last_words(text, k, 40))) shape->kind = Kind::none;
      k = shape->end - 1;
      add_shape(text, std::move(*shape), all);
    } else if (next < numbers.size() && numbers[next].offset == k) {
      read_number(text, numbers[next], all);
      k = all.back().end - 1;
    }
  }
  constexpr size_t most = 80;
  for (size_t k = 0; k < all.size(); ++k) {
    const size_t from = k > 0 ? all[k - 1].end : 0,
                 to = k + 1 < all.size() ? all[k + 1].begin : text.size();
    all[k].before = last_words(text.substr(from), all[k].begin - from, most);
    all[k].after = text.substr(all[k].end, std::min(most, to - all[k].end));
    all[k].is_reversed = all[k].kind == Kind::shape && is_reversed(text, all[k]);
  }
  mark_numbers(all);
  int lacks = -1;  // all slices lack the same axis: the first tells which
  for (size_t k = 0; k + 1 < all.size(); ++k) {
    static constexpr std::string_view slices[] = {"slice shape"};
    if (all[k].kind != Kind::shape || !ends_with_word(all[k].before, slices)) continue;
    if (lacks < 0 && all[k + 1].kind == Kind::dim)
      lacks = static_cast<int>(all[k + 1].sizes[0].value);
    all[k].lacks = lacks;
  }
  // "first two dimensions of batch2 tensor to be [2, 8] but got: [2, 4]": of three.
  if (text.find("first two dimensions") != text.npos)
    for (Mention& each : all)
      if (each.kind == Kind::shape && each.sizes.size() == 2 && each.lacks < 0) each.lacks = 2;
  return all;
}

}  // namespace attnfuzz::triage
