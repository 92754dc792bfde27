// Signed levels of phase-change weights, and the slope of the tanh that bounds them.
#include <cstdint>

#include "parallel.hpp"
#include "wide.hpp"

namespace {

// Limits [steps] rise; magnitudes [steps + 1], or null, are the weights of the levels from 0 on.
template <typename T>
void place(int64_t steps, const T* values, const T* limits, const T* magnitudes, int8_t* levels, T* weight,
           int64_t first, int64_t last) {
    const Table<T> table(magnitudes ? magnitudes : limits, magnitudes ? steps + 1 : steps);
    for_vectors<T>(first, last, [=, &table](int64_t i, int64_t count) {
        const Vector<T> value = load(values + i, count), size = value < 0 ? -value : value;
        Bits<T> passed{};
        for (int64_t n = 0; n < steps; ++n) passed -= size > limits[n];
        store_bytes<T>(value < 0 ? -passed : passed, levels + i, count);
        if (!weight) return;
        const Vector<T> made = table[passed];
        store<T>(value < 0 ? 0 - made : made, weight + i, count);  // 0 - 0 is 0, and no -0
    });
}

// grad times the slope of gain * tanh(value / gain).
template <typename T>
void fade(T gain, const T* values, const T* grad, T* slope, int64_t first, int64_t last) {
    for_vectors<T>(first, last, [=](int64_t i, int64_t count) {
        store<T>(load(grad + i, count) * Bound<T>(load(values + i, count), gain).slope, slope + i, count);
    });
}

}  // namespace

#define PCM(NAME, T)                                                                                                   \
    extern "C" void pcm_place_##NAME(int64_t count, int64_t steps, int64_t threads, const T* values, const T* limits,  \
                                     const T* magnitudes, int8_t* levels, T* weight) {                                 \
        in_parallel(count, steps, threads, [=](int64_t first, int64_t last) {                                          \
            place<T>(steps, values, limits, magnitudes, levels, weight, first, last);                                  \
        });                                                                                                            \
    }                                                                                                                  \
    extern "C" void pcm_fade_##NAME(int64_t count, int64_t threads, double gain, const T* values, const T* grad,       \
                                    T* slope) {                                                                        \
        in_parallel(count, 10, threads,                                                                                \
                    [=](int64_t first, int64_t last) { fade<T>(T(gain), values, grad, slope, first, last); });         \
    }

PCM(float32, float)
PCM(float64, double)
