#pragma once
#include "oracle/inputs.h"
#include "targets/cpu/key_store.h"

namespace attnfuzz {

using MakeStore = std::unique_ptr<KeyStore> (*)(const StoreShape&);

/// A store of quantised tokens: another store holds their bytes, which are read back as elements of
/// the case's dtype.
std::unique_ptr<KeyStore> quantised_store(const Case& c, const Inputs& inputs, MakeStore make);

}  // namespace attnfuzz
