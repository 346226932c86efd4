#include "reports/triage/models.h"

#include <algorithm>
#include <string>

#include "reports/triage/text_parts.h"

namespace attnfuzz::triage {
namespace {

/// From the models' published configurations; 0: not the same in all of that name.
struct Model {
  std::string_view name;  ///< letters and numbers apart: "qwen 2 5 7 b" is Qwen2.5-7B
  int64_t hidden, num_heads, num_kv_heads, head_dim, max_positions;
};
constexpr Model kModels[] = {
    {"llama 7 b", 4096, 32, 32, 128, 2048},
    {"llama 13 b", 5120, 40, 40, 128, 2048},
    {"llama 30 b", 6656, 52, 52, 128, 2048},
    {"llama 65 b", 8192, 64, 64, 128, 2048},
    {"llama 2 7 b", 4096, 32, 32, 128, 4096},
    {"llama 2 13 b", 5120, 40, 40, 128, 4096},
    {"llama 2 70 b", 8192, 64, 8, 128, 4096},
    {"llama 3 8 b", 4096, 32, 8, 128, 8192},
    {"llama 3 70 b", 8192, 64, 8, 128, 8192},
    {"llama 3 1 8 b", 4096, 32, 8, 128, 131072},
    {"llama 3 1 70 b", 8192, 64, 8, 128, 131072},
    {"llama 3 1 405 b", 16384, 128, 8, 128, 131072},
    {"llama 3 2 1 b", 2048, 32, 8, 64, 131072},
    {"llama 3 2 3 b", 3072, 24, 8, 128, 131072},
    {"llama 3 3 70 b", 8192, 64, 8, 128, 131072},
    {"llama 3", 0, 0, 8, 0, 0},
    {"tinyllama", 2048, 32, 4, 64, 2048},
    {"mistral 7 b", 4096, 32, 8, 128, 0},
    {"mistral nemo", 5120, 32, 8, 128, 0},
    {"mistral small", 5120, 32, 8, 128, 0},
    {"mixtral", 0, 0, 8, 128, 0},
    {"mistral", 0, 0, 8, 128, 0},
    {"codellama 34 b", 8192, 64, 8, 128, 16384},
    {"qwen 2 0 5 b", 896, 14, 2, 64, 32768},
    {"qwen 2 1 5 b", 1536, 12, 2, 128, 32768},
    {"qwen 2 7 b", 3584, 28, 4, 128, 32768},
    {"qwen 2 72 b", 8192, 64, 8, 128, 32768},
    {"qwen 2 5 0 5 b", 896, 14, 2, 64, 32768},
    {"qwen 2 5 1 5 b", 1536, 12, 2, 128, 32768},
    {"qwen 2 5 3 b", 2048, 16, 2, 128, 32768},
    {"qwen 2 5 7 b", 3584, 28, 4, 128, 32768},
    {"qwen 2 5 14 b", 5120, 40, 8, 128, 32768},
    {"qwen 2 5 32 b", 5120, 40, 8, 128, 32768},
    {"qwen 2 5 72 b", 8192, 64, 8, 128, 32768},
    {"qwen 2 2 b", 1536, 12, 2, 128, 0},
    {"qwen 3 0 6 b", 1024, 16, 8, 128, 40960},
    {"qwen 3 1 7 b", 2048, 16, 8, 128, 40960},
    {"qwen 3 4 b", 2560, 32, 8, 128, 40960},
    {"qwen 3 8 b", 4096, 32, 8, 128, 40960},
    {"qwen 3 14 b", 5120, 40, 8, 128, 40960},
    {"qwen 3 30 b", 2048, 32, 4, 128, 0},
    {"qwen 3 32 b", 5120, 64, 8, 128, 40960},
    {"qwen 3 235 b", 4096, 64, 4, 128, 0},
    {"qwen 3", 0, 0, 0, 128, 0},
    {"gemma 2 b", 2048, 8, 1, 256, 8192},
    {"gemma 7 b", 3072, 16, 16, 256, 8192},
    {"gemma 2 2 b", 2304, 8, 4, 256, 8192},
    {"gemma 2 9 b", 3584, 16, 8, 256, 8192},
    {"gemma 2 27 b", 4608, 32, 16, 128, 8192},
    {"gemma 3 1 b", 1152, 4, 1, 256, 32768},
    {"gemma 3 4 b", 2560, 8, 4, 256, 131072},
    {"gemma 3 12 b", 3840, 16, 8, 256, 131072},
    {"gemma 3 27 b", 5376, 32, 16, 128, 131072},
    {"phi 2", 2560, 32, 32, 80, 2048},
    {"phi 3 mini", 3072, 32, 32, 96, 0},
    {"phi 3 5 mini", 3072, 32, 32, 96, 0},
    {"phi 4 mini", 3072, 24, 8, 128, 0},
    {"gpt oss", 2880, 64, 8, 64, 0},
    {"gpt 2", 768, 12, 12, 64, 1024},
    {"gpt 2 medium", 1024, 16, 16, 64, 1024},
    {"gpt 2 large", 1280, 20, 20, 64, 1024},
    {"gpt 2 xl", 1600, 25, 25, 64, 1024},
    {"gpt j", 4096, 16, 16, 256, 2048},
    {"gpt neox 20 b", 6144, 64, 64, 96, 2048},
    {"bert base", 768, 12, 12, 64, 512},
    {"bert large", 1024, 16, 16, 64, 512},
    {"roberta base", 768, 12, 12, 64, 514},
    {"roberta large", 1024, 16, 16, 64, 514},
    {"whisper tiny", 384, 6, 6, 64, 448},
    {"whisper base", 512, 8, 8, 64, 448},
    {"whisper small", 768, 12, 12, 64, 448},
    {"whisper medium", 1024, 16, 16, 64, 448},
    {"whisper large", 1280, 20, 20, 64, 448},
    {"whisper", 0, 0, 0, 64, 448},
    {"t 5 small", 512, 8, 8, 64, 0},
    {"t 5 base", 768, 12, 12, 64, 0},
    {"t 5 large", 1024, 16, 16, 64, 0},
    {"falcon 7 b", 4544, 71, 1, 64, 2048},
    {"falcon 40 b", 8192, 128, 8, 64, 2048},
    {"bloom 560 m", 1024, 16, 16, 64, 2048},
    {"bloom 7 b", 4096, 32, 32, 128, 2048},
    {"opt 125 m", 768, 12, 12, 64, 2048},
    {"opt 1 3 b", 2048, 32, 32, 64, 2048},
    {"opt 6 7 b", 4096, 32, 32, 128, 2048},
    {"chatglm 2", 4096, 32, 2, 128, 0},
    {"chatglm 3", 4096, 32, 2, 128, 0},
    {"glm 4 9 b", 4096, 32, 2, 128, 0},
    {"deepseek v 2", 0, 128, 0, 0, 0},
    {"deepseek v 3", 7168, 128, 0, 0, 0},
    {"deepseek r 1", 7168, 128, 0, 0, 0},
    {"yi 6 b", 4096, 32, 4, 128, 4096},
    {"yi 34 b", 7168, 56, 8, 128, 4096},
    {"starcoder", 6144, 48, 1, 128, 8192},
    {"mpt 7 b", 4096, 32, 32, 128, 2048},
    {"smollm 2 135 m", 576, 9, 3, 64, 8192},
    {"smollm 135 m", 576, 9, 3, 64, 2048},
    {"smollm 2 360 m", 960, 15, 5, 64, 8192},
    {"vit base", 768, 12, 12, 64, 197},
    {"vit large", 1024, 16, 16, 64, 197},
    {"flux", 3072, 24, 24, 128, 0},
};

/// Words and numbers apart, in lower case, with spaces around each: " llama 3 1 8 b ".
std::string spelled(std::string_view text) {
  std::string out = " ";
  char last = ' ';
  for (const char raw : text) {
    const char x = raw >= 'A' && raw <= 'Z' ? static_cast<char>(raw + 32) : raw;
    if (!is_letter(x) && !is_digit(x)) {
      if (last != ' ') out += ' ';
      last = ' ';
      continue;
    }
    if (last != ' ' && is_digit(x) != is_digit(last)) out += ' ';
    if (x != '_') out += x;
    last = x == '_' ? ' ' : x;
    if (x == '_' && out.back() != ' ') out += ' ';
  }
  out += ' ';
  // "Qwen2.5-VL-7B" has the sizes of Qwen2.5-7B.
  for (const std::string_view kind : {" vl ", " coder "})
    if (const size_t found = out.find(kind); found != out.npos) out.erase(found, kind.size() - 1);
  return out;
}

}  // namespace

std::vector<ModelSize> model_sizes(std::string_view text) {
  constexpr size_t longest = 20000;
  // A whole name says its sizes; one without them only what all models of the name share.
  constexpr double whole = .6, family = .45;
  const std::string words = spelled(text.substr(0, longest));
  const Model* best = nullptr;
  size_t first = words.npos;
  for (const Model& row : kModels) {
    const size_t found = words.find(" " + std::string(row.name) + " ");
    if (found == words.npos) continue;
    const bool longer = found == first && row.name.size() > best->name.size();
    if (found < first || longer) best = &row, first = found;
  }
  std::vector<ModelSize> sizes;
  if (best == nullptr) return sizes;
  const double weight = best->hidden > 0 ? whole : family;
  const auto add = [&](Axis axis, int64_t value) {
    if (value > 0) sizes.push_back({axis, value, weight});
  };
  add(Axis::hidden, best->hidden);
  add(Axis::num_heads, best->num_heads);
  add(Axis::num_kv_heads, best->num_kv_heads);
  add(Axis::head_dim, best->head_dim);
  add(Axis::max_positions, best->max_positions);
  const int64_t q_hidden = best->num_heads * best->head_dim,
                kv_hidden = best->num_kv_heads * best->head_dim;
  add(Axis::q_hidden, q_hidden);
  add(Axis::kv_hidden, kv_hidden);
  if (q_hidden > 0 && kv_hidden > 0) add(Axis::qkv_hidden, q_hidden + 2 * kv_hidden);
  return sizes;
}

}  // namespace attnfuzz::triage
