#include "targets/cuda/device.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "targets/cuda/emulated.h"
#include "targets/plugin.h"

namespace attnfuzz::cuda {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view family = "cuda:", emulated_family = "cuda-emu:";
const std::string not_built = "the CUDA targets were not built: no nvcc";

/// ATTNFUZZ_CUDA_PLUGIN; else beside the program in its build folder, or where it was installed.
std::string plugin_file() {
  if (const char* file = std::getenv("ATTNFUZZ_CUDA_PLUGIN"); file != nullptr && *file != '\0')
    return file;
  std::error_code missing;
  const fs::path dir = fs::read_symlink("/proc/self/exe", missing).parent_path();
  for (const fs::path& folder :
       {dir / "plugins", dir.parent_path() / "plugins", dir.parent_path() / "lib" / "attnfuzz"})
    if (fs::exists(folder / "attnfuzz_cuda.so", missing)) return folder / "attnfuzz_cuda.so";
  return {};
}

/// What the plug-in says of the devices: "" if there is one. This process has used CUDA then.
std::string ask(const std::string& file) {
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return fmt::format("the CUDA plug-in does not load: {}", dlerror());
  const auto devices =
      reinterpret_cast<int (*)(const char**)>(dlsym(library, "attnfuzz_cuda_devices"));
  if (devices == nullptr) return fmt::format("{} is not attnfuzz's CUDA plug-in", file);
  const char* why = "";
  const int count = devices(&why);
  if (count > 0) return {};
  return fmt::format("no GPU here{}{}", *why == '\0' ? "" : ": ", why);
}

std::string ask_in_child(const std::string& file) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return "no GPU here: no pipe can be made";
  const pid_t child = fork();
  if (child == 0) {
    const std::string answer = ask(file);
    const bool told = write(ends[1], answer.data(), answer.size()) >= 0;
    _exit(told ? 0 : 1);
  }
  close(ends[1]);
  std::string answer;
  std::array<char, 512> some{};
  for (ssize_t n = 0; (n = read(ends[0], some.data(), some.size())) > 0;)
    answer.append(some.data(), static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (child < 0 || status != 0) return "no GPU here: asking for one fails";
  return answer;
}

}  // namespace

bool is_cuda_name(std::string_view name) {
  return name.starts_with(family);
}

const std::string& why_no_device() {
  static const std::string why = [] {
    const std::string file = plugin_file();
    return file.empty() ? not_built : ask_in_child(file);
  }();
  return why;
}

std::vector<TargetInfo> device_targets() {
  std::vector<TargetInfo> all;
  for (const BuiltinTarget& entry : emulated_targets()) {
    TargetInfo& info = all.emplace_back(entry.open()->info());
    info.name = fmt::format("{}{}", family, info.name.substr(emulated_family.size()));
  }
  return all;
}

std::unique_ptr<Target> open_device_target(const std::string& name) {
  const std::string file = plugin_file();
  const std::string why = file.empty() ? not_built : ask(file);
  if (!why.empty()) throw InputError(name, "", why);
  return open_plugin(fmt::format("{}:{}", file, name.substr(family.size())), name);
}

}  // namespace attnfuzz::cuda
