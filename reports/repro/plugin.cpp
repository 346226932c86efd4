#include "targets/plugin.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "reports/repro/repro.h"
#include "reports/text.h"
#include "targets/plugin_call.h"

namespace attnfuzz {
namespace {

constexpr int64_t kMostElements = 8192;  ///< of all tensors, written out

/// What every program has: the host's side of attnfuzz_call, and the comparison.
constexpr std::string_view kHost = R"(#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "targets/attnfuzz_target.h"

struct Tensor {  // in memory order, with pads around it, or at a page that can't be read
  std::vector<int64_t> shape, strides;
  unsigned char* memory;
  std::vector<unsigned char> before;
  size_t at, size;  // of the tensor in its memory
  DLTensor view;
};
std::map<std::string, Tensor> tensors;
std::map<std::string, int64_t> integers;
std::map<std::string, double> numbers;
std::map<std::string, const char*> words;
std::map<std::string, std::vector<int64_t>> lists;

template <class T>
void set(const char* name, DLDataType dtype, std::vector<int64_t> shape, std::vector<int64_t> strides,
         std::vector<T> elements, int side) {  // of the tensor with such a page: -1 start, 1 end, 0 neither
  const size_t size = elements.size() * sizeof(T), aligned = 64, pad = 512, page = sysconf(_SC_PAGESIZE);
  const size_t room = (size + 2 * pad + page - 1) / page * page;
  void* pages = mmap(nullptr, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  unsigned char* memory = static_cast<unsigned char*>(pages) + page;
  if (pages == MAP_FAILED || mprotect(memory, room, PROT_READ | PROT_WRITE) != 0) std::exit(3);
  std::memset(memory, 0xA5, room);
  Tensor& t = tensors[name];
  t = {shape, strides, memory, {}, side < 0 ? 0 : (room - size - (side > 0 ? 0 : pad)) / aligned * aligned, size, {}};
  if (size > 0) std::memcpy(&t.memory[t.at], elements.data(), size);
  t.before.assign(memory, memory + room);
  t.view = {&t.memory[t.at], {kDLCPU, 0}, static_cast<int>(shape.size()), dtype, t.shape.data(), t.strides.data(), 0};
}

int intact() {  // all but out itself must be as it was
  int wrong = 0;
  for (auto& [name, t] : tensors) {
    const bool out = name == "out";
    if (out && t.size > 0) std::memcpy(&t.before[t.at], &t.memory[t.at], t.size);
    if (std::memcmp(t.memory, t.before.data(), t.before.size()) == 0) continue;
    std::printf("the call writes beside %s%s\n", name.c_str(), out ? "" : ", or to it");
    wrong = 1;
  }
  return wrong;
}

ELEMENT
int compare(int step, const std::vector<double>& want, const std::vector<double>& allowed) {
  const DLTensor& out = tensors["out"].view;
  size_t wrong = 0, worst = 0;
  double far = 0;
  for (size_t n = 0; n < want.size(); ++n) {
    const double got = element(out, n), error = std::fabs(got - want[n]);
    if (error <= allowed[n] || got == want[n] || std::isinf(allowed[n])) continue;
    if (std::isnan(got) && std::isnan(want[n])) continue;
    ++wrong;
    const double ratio = std::isnan(error) ? INFINITY : error / allowed[n];
    if (wrong == 1 || ratio > far) worst = n, far = ratio;
  }
  if (wrong == 0) return 0;
  const auto at = [&](int axis) {
    return static_cast<long long>(static_cast<int64_t>(worst) / out.strides[axis] % out.shape[axis]);
  };
  std::printf("step %d: out[b=%lld, h=%lld, i=%lld, d=%lld] is %.9g, should be %.9g +- %.2g; %zu of %zu elements are wrong\n",
              step, at(0), at(1), at(2), at(3), element(out, worst), want[worst], allowed[worst], wrong, want.size());
  return 1;
}

std::string text;
attnfuzz_status stop(const attnfuzz_call*, attnfuzz_status status, const char* why) {
  text = why;
  return status;
}
const DLTensor* tensor(const attnfuzz_call*, const char* name) {
  return tensors.count(name) ? &tensors[name].view : nullptr;
}
int64_t integer(const attnfuzz_call*, const char* name, int64_t fallback) {
  return integers.count(name) ? integers[name] : fallback;
}
double number(const attnfuzz_call*, const char* name, double fallback) {
  return numbers.count(name) ? numbers[name] : fallback;
}
const char* word(const attnfuzz_call*, const char* name, const char* fallback) {
  return words.count(name) ? words[name] : fallback;
}
const int64_t* list(const attnfuzz_call*, const char* name, int64_t* count) {
  *count = lists.count(name) ? static_cast<int64_t>(lists[name].size()) : 0;
  return *count ? lists[name].data() : nullptr;
}
int failed(attnfuzz_status status) {
  if (status != ATTNFUZZ_OK) std::printf("status %d: %s\n", static_cast<int>(status), text.c_str());
  return status != ATTNFUZZ_OK;
}

)";

/// element() for f32 and f64, and for smaller floats, of which the program is told the mantissa.
constexpr std::string_view kWideElement = R"(double element(const DLTensor& t, size_t n) {
  return t.dtype.bits == 64 ? static_cast<const double*>(t.data)[n] : static_cast<const float*>(t.data)[n];
}
)";
constexpr std::string_view kSmallElement = R"(double element(const DLTensor& t, size_t n) {
  const int bits = t.dtype.bits == 16 ? static_cast<const uint16_t*>(t.data)[n] : static_cast<const uint8_t*>(t.data)[n];
  const int mantissa = MANTISSA_BITS, exponent = t.dtype.bits - 1 - mantissa, bias = (1 << (exponent - 1)) - 1;
  const int e = bits >> mantissa & ((1 << exponent) - 1), m = bits & ((1 << mantissa) - 1);
  double x = std::ldexp(e ? m + (1 << mantissa) : m, (e ? e : 1) - bias - mantissa);
  const bool top = e == (1 << exponent) - 1, e4m3 = mantissa == 3;  // which has no infinities and one NaN
  if (top && (!e4m3 || m == 7)) x = m ? NAN : INFINITY;
  return bits >> (t.dtype.bits - 1) ? -x : x;
}
)";

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  return text.replace(text.find(what), what.size(), with);
}

/// What every program has, with the element() that the dtype needs.
std::string host_text(DType dtype) {
  const DTypeInfo& about = info(dtype);
  const std::string element = about.bytes >= 4
                                  ? std::string(kWideElement)
                                  : replaced(std::string(kSmallElement), "MANTISSA_BITS",
                                             std::to_string(about.mantissa_bits - 1));
  return replaced(std::string(kHost), "ELEMENT", element);
}

std::string numbers_text(const std::vector<double>& values, std::string_view suffix = "") {
  std::vector<std::string> words;
  words.reserve(values.size());
  for (const double value : values)
    words.push_back(std::isnan(value)   ? "NAN"
                    : std::isinf(value) ? (value < 0 ? "-INFINITY" : "INFINITY")
                                        : fmt::format("{}{}", value, suffix));
  return fmt::format("{}", fmt::join(words, ", "));
}

template <class T>
std::vector<T> elements_of(const GuardedTensor& tensor) {
  std::vector<T> elements(tensor.bytes() / sizeof(T));
  if (!elements.empty()) std::memcpy(elements.data(), tensor.data(), tensor.bytes());
  return elements;
}

/// The elements as a std::vector of the type that holds them.
std::string elements_text(const GuardedTensor& tensor) {
  const DLDataType dtype = tensor.description()->dtype;
  if (dtype.bits == 64)
    return fmt::format("std::vector<double>{{{}}}", numbers_text(elements_of<double>(tensor)));
  if (dtype.bits == 32) {
    std::string words;
    for (const float value : elements_of<float>(tensor))
      words += (words.empty() ? "" : ", ") +
               (std::isfinite(value) ? fmt::format("float({})", value) : numbers_text({value}));
    return fmt::format("std::vector<float>{{{}}}", words);
  }
  if (dtype.bits == 16)
    return fmt::format("std::vector<uint16_t>{{{}}}",
                       fmt::join(elements_of<uint16_t>(tensor), ", "));
  return fmt::format("std::vector<uint8_t>{{{}}}", fmt::join(elements_of<uint8_t>(tensor), ", "));
}

std::string tensors_text(const PluginCall& call) {
  std::string out = "  tensors.clear();\n";
  for (const auto& [name, tensor] : call.tensors()) {
    const DLTensor& view = *tensor.description();
    const auto axes = static_cast<size_t>(view.ndim);
    out += fmt::format("  set(\"{}\", {{{}, {}, 1}}, {{{}}}, {{{}}}, {}, {});\n", name,
                       static_cast<int>(view.dtype.code), static_cast<int>(view.dtype.bits),
                       fmt::join(std::span(view.shape, axes), ", "),
                       fmt::join(std::span(view.strides, axes), ", "), elements_text(tensor),
                       static_cast<int>(tensor.placement()));
  }
  return out;
}

std::string options_text(const PluginCall& call) {
  struct Writer {
    std::string operator()(int64_t x) const { return fmt::format("integers[\"{{}}\"] = {};", x); }
    std::string operator()(double x) const {
      return fmt::format("numbers[\"{{}}\"] = {};", numbers_text({x}));
    }
    std::string operator()(std::string_view x) const {
      return fmt::format("words[\"{{}}\"] = \"{}\";", x);
    }
    std::string operator()(const std::vector<int64_t>& x) const {
      return fmt::format("lists[\"{{}}\"] = {{{{{}}}}};", fmt::join(x, ", "));
    }
  };
  std::string out;
  for (const auto& [name, option] : call.options())
    out += "  " + fmt::format(fmt::runtime(std::visit(Writer{}, option)), name) + "\n";
  return out;
}

std::string sizes_text(const attnfuzz_call& call) {
  return fmt::format(
      "  attnfuzz_call call{{}};\n  call.batch = {};\n  call.num_heads = {};\n  call.num_kv_heads "
      "= "
      "{};\n  call.q_len = {};\n  call.kv_len = {};\n  call.head_dim = {};\n  call.head_dim_v = "
      "{};\n"
      "  call.memory_kv = {};\n  call.tensor = tensor;\n  call.integer = integer;\n  call.number = "
      "number;\n  call.word = word;\n  call.list = list;\n  call.stop = stop;\n",
      call.batch, call.num_heads, call.num_kv_heads, call.q_len, call.kv_len, call.head_dim,
      call.head_dim_v, call.memory_kv);
}

std::string compare_text(const StepAnswer& want, size_t step) {
  if (want.shape.empty()) return "";
  std::vector<std::string> allowed;
  for (const double bound : want.bound)
    allowed.push_back(std::isinf(bound) ? "INFINITY" : fmt::format("{:.3g}", bound * 1.01));
  return fmt::format("  wrong += compare({}, {{{}}},\n                   {{{}}});\n", step,
                     numbers_text(want.out), fmt::join(allowed, ", "));
}

std::string once_text(const Case& c, const Inputs& inputs, const Answer& right) {
  PluginCall call(c);
  call.set_inputs(inputs);
  return sizes_text(*call.get()) + options_text(call) + tensors_text(call) +
         "  if (failed(target->attention(&call))) return 1;\n  wrong += intact();\n" +
         compare_text(right.steps[0], 0);
}

std::string steps_text(const Case& c, const Inputs& inputs, const Answer& right) {
  PluginCall call(c);
  std::string out = sizes_text(*call.get()) + options_text(call) +
                    "  void* cache = nullptr;\n"
                    "  if (failed(target->cache_open(&call, &cache))) return 1;\n";
  for (size_t s = 0; s < c.steps.size(); ++s) {
    call.set_step(s, inputs);
    out += fmt::format("\n  // step {}: {}\n  lists.clear();\n  call.q_len = {};\n", s,
                       name(c.steps[s].op), c.steps[s].q_len);
    out += options_text(call) + tensors_text(call);
    out += "  if (failed(target->cache_step(cache, &call))) return 1;\n  wrong += intact();\n";
    out += compare_text(right.steps[s], s);
    const std::vector<int64_t>& lengths = right.steps[s].lengths;
    for (size_t b = 0; b < lengths.size(); ++b)
      out += fmt::format("  wrong += length(*target, cache, {}, {}, {});\n", s, b, lengths[b]);
  }
  return out + "  target->cache_close(cache);\n";
}

/// The program's main(): the test in a process of its own, whose every bad end is a failure.
constexpr std::string_view kMain = R"(
int main(int argc, char** argv) {
  const int seconds = 20, tested = 100;
  const pid_t child = fork();
  if (child == 0) {
    alarm(seconds);
    const int wrong = test(argc, argv);
    std::fflush(stdout);
    _exit(tested + wrong);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) >= tested) return WEXITSTATUS(status) - tested;
  if (WIFEXITED(status)) std::printf("it ends the process with code %d\n", WEXITSTATUS(status));
  else if (WTERMSIG(status) == SIGALRM) std::printf("it does not return in %d s\n", seconds);
  else std::printf("it is killed by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
  return 1;
}
)";

constexpr std::string_view kLength =
    R"(int length(const attnfuzz_target& target, void* cache, int step, int64_t row, int64_t want) {
  const int64_t got = target.cache_length ? target.cache_length(cache, row) : want;
  if (got != want)
    std::printf("step %d: row %lld holds %lld tokens, should be %lld\n", step, static_cast<long long>(row),
                static_cast<long long>(got), static_cast<long long>(want));
  return got != want;
}

)";

int64_t elements_written(const Inputs& inputs, const Answer& right) {
  int64_t n = 0;
  for (const auto& [name, tensor] : inputs.all()) n += tensor.size();
  for (const StepAnswer& step : right.steps) n += static_cast<int64_t>(2 * step.out.size());
  return n;
}

}  // namespace

/// A program that opens the plug-in itself, with the inputs and the right `out` written out; none
/// where more is asked for.
Repro plugin_repro(const Case& c, const TargetInfo& target) {
  if (!is_plugin_name(target.name) || c.problem.outputs.size() > 1) return {};
  if (!sample_of(c).empty()) return {};  // too long for a program that has it all written out
  const Inputs inputs = make_inputs(c);
  const DType dtype = c.problem.dtype;
  const Answer right = answer(c, inputs, target.capabilities.precision_of(dtype));
  if (elements_written(inputs, right) > kMostElements) return {};

  const size_t end = target.name.find(".so:");
  const std::string path = target.name.substr(0, end == target.name.npos ? end : end + 3);
  const std::string wanted = end == target.name.npos ? "" : target.name.substr(end + 4);
  const std::string file = path.find('/') == path.npos ? "./" + path : path;
  std::string program = fmt::format(
      "// {} {}: {}\n// Exits 1 while it is wrong here, 0 once it is fixed. Found by attnfuzz. "
      "Needs "
      "attnfuzz_target.h (and DLPack):\n//   c++ -std=c++17 -I ATTNFUZZ repro.cpp -o repro -ldl && "
      "./repro [PLUGIN.so]\n",
      text::line(target.name), text::line(target.version), one_line(c));
  program += host_text(dtype);
  if (c.cached()) program += kLength;
  program += fmt::format(R"(int test(int argc, char** argv) {{
  void* library = dlopen(argc > 1 ? argv[1] : {}, RTLD_NOW);
  const auto plugin = library ? reinterpret_cast<const attnfuzz_target_list* (*)()>(dlsym(library, "attnfuzz_plugin")) : nullptr;
  if (!plugin) return std::printf("%s\n", dlerror()), 2;
  const std::string wanted = {};
  const attnfuzz_target* target = nullptr;
  for (int64_t n = 0; n < plugin()->count; ++n)
    if (wanted.empty() || wanted == plugin()->targets[n].name) target = &plugin()->targets[n];
  if (!target) return std::printf("no target %s\n", wanted.c_str()), 2;
  int wrong = 0;
)",
                         text::c_string(file), text::c_string(wanted));
  program += c.cached() ? steps_text(c, inputs, right) : once_text(c, inputs, right);
  program +=
      "  if (wrong == 0) std::printf(\"right: every element is within its bound\\n\");\n"
      "  return wrong != 0;\n}\n";
  program += kMain;
  return {"repro.cpp", program};
}

}  // namespace attnfuzz
