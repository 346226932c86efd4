#include "reports/triage/words.h"

#include <algorithm>
#include <array>
#include <span>

namespace attnfuzz::triage {
namespace {

bool is_upper(char x) {
  return x >= 'A' && x <= 'Z';
}
bool is_lower(char x) {
  return x >= 'a' && x <= 'z';
}

/// A list of words in one string, separated by spaces.
bool has_word(std::string_view list, std::string_view word) {
  for (size_t at = list.find(word); at != list.npos; at = list.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || list[at - 1] == ' ') && (end == list.size() || list[end] == ' ')) return true;
  }
  return false;
}

struct RoleWord {
  Role role;
  double strength;
  std::string_view words;
};
/// The strongest word of a name decides: a key_padding_mask is a mask.
constexpr RoleWord kRoleWords[] = {
    {Role::mask, .95, "mask masks masked masking tril triu allowed visible visibility attendable"},
    {Role::mask, .5, "causal padding padded pad keep"},
    {Role::bias, .96, "bias alibi slopes biases"},
    {Role::bias, .7, "rel relative distance"},
    {Role::rotary, .97,
     "rotary rope cos sin cosine sine freqs freq cis rotate rot rotated cosines sines mrope"},
    {Role::rotary, .75, "sinusoidal emb pe"},
    {Role::table, .98, "blocktable blocktables pagetable"},
    {Role::pages, .97, "paged pages page pagedattention pagedkv"},
    {Role::cache, .93, "cache cached past caches kvcache prev previous history"},
    {Role::cache, .6, "buffer pool"},
    {Role::memory, .94, "mem memory nullkv persistent"},
    {Role::scores, .9,
     "score scores logit logits prob probs energy energies sim similarity similarities affinity "
     "dots qk softmax sdpa"},
    {Role::scores, .8, "weights attn attentions weighting att scaled"},
    {Role::scores, .5, "attention w s p"},
    {Role::out, .85, "out output outputs o"},
    {Role::out, .5, "context ctx"},
    {Role::q, .82, "q query queries qs xq qh qt qry"},
    {Role::k, .82, "k key keys ks xk kh kt kv"},
    {Role::v, .82, "v value values vs xv vh val vals"},
    {Role::state, .78, "state recurrent ssm h0"},
    {Role::state, .5, "states"},
    {Role::gate, .9, "gate gates decay decays beta betas alpha gk"},
    {Role::ids, .7, "ids tokens indices slots positions src tgt indptr seqlens cu"},
    {Role::weight, .86, "weight proj projection kernel linear"},
    {Role::hidden, .97, "hidden qkv"},
    {Role::hidden, .6, "x embed inputs residual hs features feats h inp"},
    {Role::hidden, .85, "embeds embeddings"},
};

/// Words that mean the same: the first is the one that the rules below use.
constexpr std::string_view kSame[] = {
    "head heads nhead nheads hd",
    "dim dims dimension dimensions size sizes width features channels depth",
    "num number n nb count numbers",
    "len length lengths lens seqlen seqlens seq sequence sequences timesteps",
    "tokens token toks",
    "q query queries tgt target",
    "k key keys kv src source encoder kvs",
    "v value values val vals",
    "batch bsz bs batches rows row",
    "hidden embed embd embedding embeddings model emb",
    "max maximum most limit largest",
    "input inputs prompt prompts",
    "pos position positions ctx context",
    "page block pages blocks",
    "group groups rep repeats gqa",
    "past cached prefix previous prev history",
    "mem memory persistent",
    "cache buffer caches",
    "chunk chunks segment segments",
    "window windows",
};
std::string_view canonical(std::string_view word) {
  for (const std::string_view list : kSame)
    if (has_word(list, word)) return list.substr(0, list.find(' '));
  return word;
}

/// Words that are two in one.
struct Joined {
  std::string_view word, parts;
};
constexpr Joined kJoined[] = {{"headdim", "head dim"},
                              {"nheads", "num head"},
                              {"nhead", "num head"},
                              {"seqlen", "seq len"},
                              {"headsize", "head dim"},
                              {"batchsize", "batch dim"},
                              {"dk", "head dim"},
                              {"dv", "head dim v"},
                              {"dhead", "head dim"},
                              {"dmodel", "hidden dim"},
                              {"nctx", "max pos"},
                              {"blocksize", "page dim"},
                              {"nembd", "hidden dim"},
                              {"numheads", "num head"},
                              {"kvheads", "k head"},
                              {"seqlenq", "q len"},
                              {"seqlenk", "k len"},
                              {"qlen", "q len"},
                              {"klen", "k len"},
                              {"kvlen", "k len"},
                              {"hidden", "hidden"},
                              {"seqlens", "seq len"},
                              {"hs", "head dim"},
                              {"nh", "num head"},
                              {"sq", "q len"},
                              {"skv", "k len"},
                              {"sk", "k len"},
                              {"nq", "q len"},
                              {"nkv", "k len"},
                              {"lq", "q len"},
                              {"lk", "k len"},
                              {"lkv", "k len"},
                              {"tq", "q len"},
                              {"tk", "k len"},
                              {"tkv", "k len"},
                              {"bq", "batch"},
                              {"nqheads", "num head q"},
                              {"nkvheads", "num head k"},
                              {"hq", "num head q"},
                              {"hkv", "num head k"},
                              {"qo", "q"},
                              {"keyvalue", "k v"},
                              {"kvcache", "k cache"},
                              {"bh", "batch head"},
                              {"hiddensize", "hidden dim"},
                              {"embeddim", "hidden dim"},
                              {"vdim", "head dim v"},
                              {"ntokens", "num tokens"},
                              {"numtokens", "num tokens"}};

struct AxisRule {
  Axis axis;
  std::string_view all;        ///< every one of these
  std::string_view any = {};   ///< and one of these
  std::string_view none = {};  ///< and none of these
  double strength = .9;
  bool any_length = false;
};
/// The first that fits. In canonical words.
constexpr AxisRule kAxisRules[] = {
    {Axis::other, "parallel", "dim num", "", .7},
    {Axis::latent, "k lora"},
    {Axis::latent, "latent"},
    {Axis::page_size, "tokens per page"},
    {Axis::tokens, "total q"},
    {Axis::kv_tokens, "total k"},
    {Axis::kv_len, "total len", "", "", .8},
    {Axis::group, "q per k"},
    {Axis::q_hidden, "all head dim"},
    {Axis::batch_kv_heads, "batch head k"},
    {Axis::batch_heads, "batch head"},
    {Axis::half_dim, "dim half", "head rotary rot rope"},
    {Axis::head_dim, "dim", "rotary rot rope nope"},
    {Axis::head_dim_v, "head dim v", "", "k num"},
    {Axis::head_dim, "head hidden", "", "batch page"},
    {Axis::head_dim, "head", "dim d per", "num group page"},
    {Axis::head_dim, "head dim", "", "group page"},
    {Axis::head_dim, "d", "k q head", "hidden num len"},
    {Axis::head_dim_v, "d v", "", "hidden num len"},
    {Axis::kv_tokens, "indptr k"},
    {Axis::tokens, "indptr"},
    {Axis::kv_tokens, "cu len k"},
    {Axis::tokens, "cu len"},
    {Axis::kv_hidden, "hidden k", "", "head len max state states"},
    {Axis::kv_hidden, "hidden v", "", "head len max state states"},
    {Axis::group, "group", "num head dim per", "norm"},
    {Axis::num_kv_heads, "head k"},
    {Axis::num_kv_heads, "head v"},
    {Axis::num_heads, "head", "", "layer"},
    {Axis::page_size, "page", "dim len"},
    {Axis::num_pages, "page", "num max", "table per"},
    {Axis::batch, "batch", "", "seqlens"},
    {Axis::kv_tokens, "tokens num k", "", "cache max cached"},
    {Axis::tokens, "tokens", "num batched total", "max cached past cache k q window per", .8},
    {Axis::kv_len, "k len input"},
    {Axis::kv_len, "k cache len", "", "max capacity stored"},
    {Axis::capacity, "cache", "capacity max dim stored"},
    {Axis::max_positions, "max pos"},
    {Axis::max_positions, "max len input"},
    {Axis::max_positions, "pos len", "", "", .7},
    {Axis::hidden, "hidden len", "", "max", .8},
    {Axis::q_len, "len input", "", "max", .8, true},
    {Axis::max_positions, "num pos"},
    {Axis::window, "window"},
    {Axis::chunk, "chunk"},
    {Axis::memory_kv, "mem", "num k len"},
    {Axis::past_len, "past", "len k num seen"},
    {Axis::past_len, "cache len"},
    {Axis::past_len, "start", "", "token end pos", .7},
    {Axis::q_len, "q len"},
    {Axis::kv_len, "k len"},
    {Axis::capacity, "max supported"},
    {Axis::max_positions, "max len", "hidden supported allowed", ""},
    {Axis::past_len, "past", "tokens"},
    {Axis::capacity, "cache", "tokens"},
    {Axis::max_positions, "max tokens"},
    {Axis::q_len, "q tokens"},
    {Axis::kv_len, "k tokens"},
    {Axis::q_len, "tokens", "", "vocab per", .8, true},
    {Axis::q_len, "len", "", "vocab per", .8, true},
    {Axis::q_len, "input num", "", "dim hidden", .6, true},
    {Axis::hidden, "hidden", "dim d num", ""},
    {Axis::hidden, "dim", "layers attn attention", "head v k q", .6},
    {Axis::state_dim, "state dim"},
    {Axis::hidden, "input", "dim", "", .5},
    {Axis::q_len, "q num", "", "layer", .7},
    {Axis::kv_len, "k num", "", "layer", .7},
    {Axis::head_dim, "dim", "q k", "num", .6},
};

/// What a letter alone is mostly used for.
struct Letter {
  char letter;
  Axis axis;
  double strength;
  bool any_length = false;
};
constexpr Letter kLetters[] = {
    {'b', Axis::batch, .8},       {'B', Axis::batch, .8},       {'N', Axis::batch, .4},
    {'h', Axis::num_heads, .7},   {'H', Axis::num_heads, .7},   {'d', Axis::head_dim, .6},
    {'D', Axis::head_dim, .5},    {'n', Axis::q_len, .4, true}, {'t', Axis::q_len, .5, true},
    {'T', Axis::q_len, .6, true}, {'s', Axis::q_len, .5, true}, {'S', Axis::q_len, .5, true},
    {'L', Axis::q_len, .6, true}, {'l', Axis::q_len, .5, true}, {'i', Axis::q_len, .6},
    {'j', Axis::kv_len, .6},      {'q', Axis::q_len, .5},       {'k', Axis::kv_len, .4},
    {'C', Axis::hidden, .5},      {'g', Axis::num_kv_heads, .3}};

bool fits(const AxisRule& rule, std::span<const std::string> words) {
  const auto contains = [&](std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  const auto each = [](std::string_view list, const auto& visit) {
    while (!list.empty()) {
      const size_t end = std::min(list.find(' '), list.size());
      if (end > 0) visit(list.substr(0, end));
      list.remove_prefix(std::min(end + 1, list.size()));
    }
  };
  bool all = true, any = rule.any.empty(), none = true;
  each(rule.all, [&](std::string_view word) { all = all && contains(word); });
  each(rule.any, [&](std::string_view word) { any = any || contains(word); });
  each(rule.none, [&](std::string_view word) { none = none && !contains(word); });
  return all && any && none;
}

std::vector<std::string> canonical_words(std::string_view text) {
  std::vector<std::string> words;
  for (const std::string& word : words_of(text)) {
    const auto joined = std::find_if(std::begin(kJoined), std::end(kJoined),
                                     [&](const Joined& row) { return row.word == word; });
    std::string_view parts = joined != std::end(kJoined) ? joined->parts : std::string_view(word);
    while (!parts.empty()) {
      const size_t end = std::min(parts.find(' '), parts.size());
      words.emplace_back(canonical(parts.substr(0, end)));
      parts.remove_prefix(std::min(end + 1, parts.size()));
    }
  }
  return words;
}

constexpr std::array<std::string_view, static_cast<size_t>(Role::count)> kRoleNames = {
    "",
    "queries",
    "keys",
    "values",
    "output",
    "scores",
    "mask",
    "bias",
    "rotary table",
    "cache",
    "paged cache",
    "block table",
    "hidden states",
    "weight",
    "state",
    "gates",
    "token numbers",
    "memory keys"};

}  // namespace

std::string_view name_of(Role role) {
  return kRoleNames[static_cast<size_t>(role)];
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (size_t k = 0; k < text.size(); ++k) {
    const char x = text[k];
    if (is_upper(x)) {
      const bool starts =
          k > 0 && (is_lower(text[k - 1]) ||
                    (is_upper(text[k - 1]) && k + 1 < text.size() && is_lower(text[k + 1]) &&
                     !(text[k + 1] == 's' && (k + 2 == text.size() || !is_lower(text[k + 2])))));
      if (starts) end_word();
      word += static_cast<char>(x - 'A' + 'a');
    } else if (is_lower(x)) {
      word += x;
    } else {
      end_word();
    }
  }
  end_word();
  return words;
}

RoleGuess role_of(std::string_view text) {
  const std::vector<std::string> words = words_of(text);
  RoleGuess best;
  for (size_t k = 0; k < words.size(); ++k) {
    const std::string pair = k + 1 < words.size() ? words[k] + words[k + 1] : "";
    static constexpr std::string_view tables[] = {"blocktable",  "pagetable",  "blockpointer",
                                                  "blockoffset", "blockindic", "pageindic",
                                                  "blockids",    "pageids"};
    const bool is_table =
        std::any_of(std::begin(tables), std::end(tables),
                    [&](std::string_view each) { return pair.starts_with(each); });
    if (is_table) return {Role::table, .98};
    for (const RoleWord& row : kRoleWords)
      if (row.strength > best.strength && has_word(row.words, words[k]))
        best = {row.role, row.strength};
  }
  return best;
}

AxisGuess axis_of(std::string_view text) {
  while (text.size() > 1 && text.back() == '_') text.remove_suffix(1);
  if (text.size() == 1)
    for (const Letter& row : kLetters)
      if (row.letter == text[0]) return {row.axis, row.strength, row.any_length};
  const std::vector<std::string> words = canonical_words(text);
  // "Target sizes:" names no axis: a shape follows.
  const std::vector<std::string> said = words_of(text);
  static constexpr std::string_view whose[] = {"target", "tensor", "input", "output", "expected"};
  const bool of_shape = said.size() == 2 && (said[1] == "sizes" || said[1] == "shape") &&
                        std::find(std::begin(whose), std::end(whose), said[0]) != std::end(whose);
  if (of_shape) return {};
  constexpr double alone = .45;
  const bool all_dim =
      !words.empty() && std::all_of(words.begin(), words.end(),
                                    [](const std::string& word) { return word == "dim"; });
  static constexpr std::string_view features[] = {"features", "channels"};
  const bool of_layer = said.size() == 1 && std::find(std::begin(features), std::end(features),
                                                      said[0]) != std::end(features);
  if (all_dim) return {of_layer ? Axis::hidden : Axis::head_dim, alone, false};
  if (said.size() == 1 && said[0] == "positions") return {Axis::q_len, alone, true};
  if (words.size() == 1 && words[0] == "k") return {Axis::kv_len, text == "kv" ? .6 : alone, false};
  for (const AxisRule& rule : kAxisRules)
    if (fits(rule, words)) return {rule.axis, rule.strength, rule.any_length};
  // "n_l", "num_h": how many of what the letter stands for.
  const bool counts = words.size() == 2 && words[0] == "num" && words[1].size() == 1;
  if (counts && text.find(' ') == text.npos)
    for (const Letter& row : kLetters)
      if (row.letter == words[1][0]) return {row.axis, row.strength, row.any_length};
  return {};
}

AxisGuess axis_counted(std::string_view after) {
  constexpr size_t most_words = 4;
  static constexpr std::string_view ends[] = {"or", "but", "must", "is",  "in",   "with", "for",
                                              "to", "got", "not",  "are", "than", "from", "at",
                                              "on", "was", "were", "has", "have", "when"};
  after = after.substr(0, after.find_first_of(".,;:()[]=\n"));
  if (!after.starts_with(' ')) return {};
  const std::vector<std::string> words = words_of(after);
  std::string phrase = "num";
  AxisGuess best;
  for (size_t k = 0; k < std::min(words.size(), most_words); ++k) {
    const std::string_view next = k + 1 < words.size() ? std::string_view(words[k + 1]) : "";
    const bool ended = std::find(std::begin(ends), std::end(ends), words[k]) != std::end(ends);
    if (ended || (words[k] == "and" && !next.starts_with("value") && !next.starts_with("key")))
      break;
    phrase += " " + words[k];
    const AxisGuess guess = axis_of(phrase);
    const bool of_layers =
        guess.axis == Axis::hidden && (next.starts_with("layer") || next.starts_with("state"));
    if (guess.axis != Axis::none && !of_layers && guess.strength >= best.strength) best = guess;
  }
  return best;
}

}  // namespace attnfuzz::triage
