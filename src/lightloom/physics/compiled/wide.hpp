// As many numbers as a wide register holds, of either precision, and what phase-change kernels do with them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

template <typename T>
struct Wide;
template <>
struct Wide<float> {
    static constexpr int lanes = 16, terms = 7, fraction = 23, bias = 127;
    static constexpr float whole = 12582912.0f;  // 1.5 * 2^23: adding it leaves round(.) in the last bits
    static constexpr float high = 0.693359375f, low = -2.12194440e-4f, deepest = 87;
    typedef float Vector __attribute__((vector_size(64)));
    typedef int32_t Bits __attribute__((vector_size(64)));
};
template <>
struct Wide<double> {
    static constexpr int lanes = 8, terms = 13, fraction = 52, bias = 1023;
    static constexpr double whole = 6755399441055744.0, high = 0.693145751953125, low = 1.42860682030941723212e-6;
    static constexpr double deepest = 708;
    typedef double Vector __attribute__((vector_size(64)));
    typedef int64_t Bits __attribute__((vector_size(64)));
};

template <typename T>
using Vector = typename Wide<T>::Vector;
template <typename T>
using Bits = typename Wide<T>::Bits;

template <typename T>
inline Vector<T> all(T value) {
    return Vector<T>{} + value;
}

// The first `count` numbers; zeros after them.
template <typename T>
inline Vector<T> load(const T* from, int64_t count = Wide<T>::lanes) {
    Vector<T> values{};
    std::memcpy(&values, from, count * sizeof(T));
    return values;
}

template <typename T>
inline void store(const Vector<T>& values, T* to, int64_t count = Wide<T>::lanes) {
    std::memcpy(to, &values, count * sizeof(T));
}

// Single bytes as whole vectors, and back.
template <typename T>
inline Bits<T> load_bytes(const int8_t* from, int64_t count = Wide<T>::lanes) {
    typedef int8_t Bytes __attribute__((vector_size(Wide<T>::lanes)));
    Bytes bytes{};
    std::memcpy(&bytes, from, count);
    return __builtin_convertvector(bytes, Bits<T>);
}

template <typename T>
inline void store_bytes(const Bits<T>& values, int8_t* to, int64_t count = Wide<T>::lanes) {
    typedef int8_t Bytes __attribute__((vector_size(Wide<T>::lanes)));
    const Bytes bytes = __builtin_convertvector(values, Bytes);
    std::memcpy(to, &bytes, count);
}

// A table of up to 64 numbers that is looked up in registers: processors fetch scattered numbers one by one.
template <typename T>
struct Table {
    static constexpr int lanes = Wide<T>::lanes;
    Vector<T> parts[64 / lanes];
    int used;

    Table(const T* from, int64_t count) : used((count + lanes - 1) / lanes) {
        for (int64_t part = 0; part < used; ++part)
            parts[part] = load(from + part * lanes, std::min<int64_t>(lanes, count - part * lanes));
    }

    Vector<T> operator[](const Bits<T>& index) const {
        Vector<T> found = __builtin_shuffle(parts[0], index);
        for (int part = 1; part < used; ++part)
            found = index >= part * lanes ? __builtin_shuffle(parts[part], index) : found;
        return found;
    }
};

// e^-x for x >= 0, and what is smaller than any normal number as the smallest. Cody and Waite's reduction by multiples
// of log 2 to |r| <= log(2) / 2, then Taylor's series.
template <typename T>
inline Vector<T> decay(Vector<T> x) {
    using W = Wide<T>;
    x = x < W::deepest ? x : all(W::deepest);
    const Vector<T> shifted = x * T(1.4426950408889634) + W::whole, halvings = shifted - W::whole;
    const Vector<T> r = (halvings * W::high - x) + halvings * W::low;
    Vector<T> sum = all(T(1));
    for (int n = W::terms; n >= 1; --n) sum = 1 + r * sum * (T(1) / n);
    const Bits<T> power = (Bits<T>)all(W::whole) - (Bits<T>)shifted + W::bias;
    return sum * (Vector<T>)(power << W::fraction);
}

// |gain * tanh(value / gain)| and its slope.
template <typename T>
struct Bound {
    Vector<T> size, slope;

    Bound(Vector<T> value, T gain) {
        const Vector<T> e = decay<T>((value < 0 ? -value : value) * (2 / gain)), inverse = 1 / (1 + e);
        size = gain * ((1 - e) * inverse);
        slope = 4 * e * inverse * inverse;
    }
};

// Calls run(i, count) for vectors that together cover [first, last), the last of them with what is left.
template <typename T, typename Run>
inline void for_vectors(int64_t first, int64_t last, Run run) {
    int64_t i = first;
    for (; i + Wide<T>::lanes <= last; i += Wide<T>::lanes) run(i, Wide<T>::lanes);
    if (i < last) run(i, last - i);
}
