// A CUDA device guard and CUDA hooks for a machine without a GPU: one device, always current, on the default
// stream, without a context, so that the autograd engine starts a thread for cuda:0 as it would on a GPU.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

using namespace c10;

struct PretendGuard final : public impl::DeviceGuardImplInterface {
  static constexpr DeviceType kind = DeviceType::CUDA;
  DeviceType type() const override { return kind; }
  Device exchangeDevice(Device) const override { return Device(kind, 0); }
  Device getDevice() const override { return Device(kind, 0); }
  void setDevice(Device) const override {}
  void uncheckedSetDevice(Device) const noexcept override {}
  Stream getStream(Device) const override { return Stream(Stream::DEFAULT, Device(kind, 0)); }
  Stream getNewStream(Device, int) const override { return Stream(Stream::DEFAULT, Device(kind, 0)); }
  Stream exchangeStream(Stream s) const override { return s; }
  DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void**, const Stream&, const DeviceIndex, const EventFlag) const override {}
  void block(void*, const Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, const DeviceIndex) const noexcept override {}
};

struct PretendGenerator final : public at::CPUGeneratorImpl {  // its numbers are a CPU's
  PretendGenerator() : at::CPUGeneratorImpl() { device_ = Device(DeviceType::CUDA, 0); }
};

struct PretendHooks final : public at::CUDAHooksInterface {
  PretendHooks() : at::CUDAHooksInterface() {}
  void init() const override {}
  bool hasCUDA() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return false; }
  DeviceIndex deviceCount() const override { return 1; }
  DeviceIndex getCurrentDevice() const override { return 0; }
  bool isAvailable() const override { return true; }
  bool isBuilt() const override { return true; }
  at::Generator getNewGenerator(DeviceIndex) const override { return at::make_generator<PretendGenerator>(); }
};

static PretendGuard guard;
static PretendHooks hooks;

extern "C" void install() {
  impl::device_guard_impl_registry[static_cast<int>(DeviceType::CUDA)].store(&guard);
  auto& real = const_cast<at::CUDAHooksInterface&>(at::detail::getCUDAHooks());
  *reinterpret_cast<void**>(&real) = *reinterpret_cast<void**>(&hooks);  // the real ones now answer as these do
}
