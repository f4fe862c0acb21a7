/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "stapes/greedy.h"
#include "stapes/packed.h"
#include "stapes/speech.h"

/* Whether the mean square of the recording is below the gate; no samples are silence too. */
static int is_silent(const stapes_greedy_params *params, const stapes_context *context) {
    const uint64_t samples = (uint64_t)context->held_samples;
    return samples == 0 || context->energy < (uint64_t)params->silence * samples;
}

/* min(most_tokens, max(least_tokens, ceil(samples * tokens_per_10_s / (10 * rate)) + starts + 1))
 * counted up to: a core without 64-bit division need not have one. */
static int32_t most_steps(const stapes_greedy_params *params, int32_t samples) {
    const int64_t wanted = (int64_t)samples * params->tokens_per_10_s;
    const int64_t step = (int64_t)10 * params->sample_rate_hz;
    int32_t steps = params->least_tokens;
    while (steps < params->most_tokens && (steps - params->start_count - 1) * step < wanted) {
        steps++;
    }
    return steps < params->most_tokens ? steps : params->most_tokens;
}

static void write_mask(const stapes_greedy_params *params, void *mask, int32_t index, int there) {
    const int32_t value = there ? params->attended : params->masked;
    if (params->mask_bytes == 1) {
        ((int8_t *)mask)[index] = (int8_t)value;
    } else if (params->mask_bytes == 2) {
        ((int16_t *)mask)[index] = (int16_t)value;
    } else {
        ((float *)mask)[index] = there ? 0.0f : params->float_masked;
    }
}

/* clamp(((value * scale + 2^(shift - 1)) >> shift) + zero_point, -limit - 1, limit); the shift is
 * arithmetic. */
static int32_t rescaled(const stapes_row_table *table, int32_t value, int32_t scale,
                        int32_t limit) {
    const int64_t half = (int64_t)1 << (table->shift - 1);
    const int64_t result = (((int64_t)value * scale + half) >> table->shift) + table->zero_point;
    return (int32_t)(result > limit ? limit : result < -limit - 1 ? -limit - 1 : result);
}

/* What the integers of a row are multiplied with from `first` on, up to the block's end. */
static float scale_of(const stapes_row_table *table, const void *scales, size_t row,
                      uint32_t first) {
    if (table->block_size == 0) {
        return ((const float *)scales)[row];
    }
    const size_t blocks = table->row_values / table->block_size;
    const uint16_t *const halves = (const uint16_t *)scales + row * blocks;
    const uint32_t bits = (uint32_t)halves[first / table->block_size] << 16;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return scale;
}

/* run[i] = rows[row, first + i], of `count` of them, at most STAPES_RUN. */
static void read_run(const stapes_row_table *table, const uint8_t *values, uint32_t first,
                     uint32_t count, int8_t *run) {
    if (table->bits == 8) {
        memcpy(run, values + first, count);
    } else {
        stapes_unpack(values + first / 8 * table->bits, (int32_t)count, (int32_t)table->bits, run);
    }
}

/* target[first + i] = run[i] with the scale of its row or block. */
static void write_run(const stapes_row_table *table, const void *scales, size_t row, uint32_t first,
                      uint32_t count, const int8_t *run, void *target) {
    if (table->value_bytes == 4) {
        const float scale = scale_of(table, scales, row, first);
        for (uint32_t i = 0; i < count; i++) {
            ((float *)target)[first + i] = (float)run[i] * scale;
        }
        return;
    }
    const int32_t scale = ((const int32_t *)scales)[row];
    for (uint32_t i = 0; i < count; i++) {
        if (table->value_bytes == 2) {
            ((int16_t *)target)[first + i] = (int16_t)rescaled(table, run[i], scale, INT16_MAX);
        } else {
            ((int8_t *)target)[first + i] = (int8_t)rescaled(table, run[i], scale, INT8_MAX);
        }
    }
}

/* target[i] = rows[row, i], or where there are scales (float)rows[row, i] times that of the row or
 * block, or that of the row rescaled to integers. */
static void write_row(const stapes_context *context, const stapes_row_table *table, size_t row,
                      void *target) {
    const uint8_t *const rows = stapes_constant_at(context, &table->rows);
    const uint8_t *const values = rows + row * table->row_bytes;
    if (table->value_bytes == 0) {
        memcpy(target, values, table->row_bytes);
        return;
    }
    const void *const scales = stapes_constant_at(context, &table->scales);
    for (uint32_t first = 0; first < table->row_values; first += STAPES_RUN) {
        const uint32_t left = table->row_values - first;
        const uint32_t count = left < STAPES_RUN ? left : STAPES_RUN;
        int8_t run[STAPES_RUN];
        read_run(table, values, first, count, run);
        write_run(table, scales, row, first, count, run, target);
    }
}

/* The inputs of step `step`, which is fed `token`. */
static void write_inputs(const stapes_greedy_params *params, const stapes_context *context,
                         int32_t token, int32_t step) {
    for (int32_t i = 0; i < params->table_count; i++) {
        const stapes_row_table *const table = &params->tables[i];
        const size_t row = (size_t)(table->by_token != 0 ? token : step);
        write_row(context, table, row, stapes_at(context, &table->target));
    }
    void *const mask = stapes_at(context, &params->mask);
    for (int32_t i = 0; i <= params->positions; i++) {
        write_mask(params, mask, i, i < step || i == params->positions);
    }
}

/* The rows that step `step` gave become entry `step` of each buffer. */
static void append_rows(const stapes_greedy_params *params, const stapes_context *context,
                        int32_t step) {
    for (int32_t i = 0; i < params->state_count; i++) {
        const stapes_row_state *const state = &params->states[i];
        const uint8_t *const rows = stapes_at(context, &state->rows);
        uint8_t *const buffer = stapes_at(context, &state->buffer);
        for (uint32_t block = 0; block < state->blocks; block++) {
            const size_t entry = (size_t)block * state->entries + (size_t)step;
            memcpy(buffer + entry * state->row_bytes, rows + (size_t)block * state->row_bytes,
                   state->row_bytes);
        }
    }
}

static int is_among(const int32_t *tokens, int32_t count, int32_t token) {
    for (int32_t i = 0; i < count; i++) {
        if (tokens[i] == token) {
            return 1;
        }
    }
    return 0;
}

/* Whether the logit of `token` is a number, and greater than that of `best` if there is one. */
static int wins(const void *logits, int32_t bytes, int32_t token, int32_t best) {
    if (bytes == 4) {
        const float *const floats = logits;
        return best < 0 ? floats[token] == floats[token] : floats[token] > floats[best];
    }
    if (best < 0) {
        return 1;
    }
    return bytes == 1 ? ((const int8_t *)logits)[token] > ((const int8_t *)logits)[best]
                      : ((const int16_t *)logits)[token] > ((const int16_t *)logits)[best];
}

/* The first of the greatest logits that is a number and not suppressed; the end where none is. */
static int32_t choose(const stapes_greedy_params *params, const void *logits, int first) {
    int32_t best = -1;
    for (int32_t token = 0; token < params->classes; token++) {
        if (wins(logits, params->logit_bytes, token, best) &&
            !is_among(params->suppress, params->suppress_count, token) &&
            !(first && is_among(params->begin_suppress, params->begin_suppress_count, token))) {
            best = token;
        }
    }
    return best < 0 ? params->end : best;
}

/* How many of `count` tokens to drop where those at the end repeat what stands `period` before:
 * max(period, 2 * repeat_tokens - period) of them, or repeat_tokens after the last step; else 0. */
static int32_t surplus(const stapes_greedy_params *params, const int32_t *tokens, int32_t count,
                       int last_step) {
    const int32_t least = params->repeat_tokens;
    for (int32_t period = 1; period < count; period++) {
        const int32_t other = 2 * least - period;
        const int32_t wanted = last_step ? least : other > period ? other : period;
        int32_t i = count;
        while (i > period && tokens[i - 1] == tokens[i - 1 - period]) {
            i--;
        }
        if (count - i >= wanted) {
            return count - i;
        }
    }
    return 0;
}

/*
 * Greedy decoding; docs of the rules: codegen/evaluate/greedy.py.
 *
 * Silence gives an empty text and runs nothing. Otherwise all graphs but the last run once, and
 * the last runs a step a token: it is fed the start, then what was chosen, until it chooses the
 * end, a repetition ends the text, or the bound of the recording's length is reached. Each token is
 * told to on_text. text receives at most text_bytes bytes, NUL included;
 * STAPES_ERROR_TEXT_TOO_SMALL when that is not enough: text is then empty. written may be null.
 */
stapes_status stapes_greedy_decode(const stapes_model *model, const stapes_context *context,
                                   char *text, size_t text_bytes, size_t *written) {
    const stapes_greedy_params *const params = model->speech->decoder;
    const uint32_t last = model->graph_count - 1;
    stapes_status status = STAPES_OK;
    if (is_silent(params, context)) {
        return STAPES_OK;
    }
    for (uint32_t graph = 0; graph < last; graph++) {
        status = model->graphs[graph].run(context);
        if (status != STAPES_OK) {
            return status;
        }
    }
    for (int32_t i = 0; i < params->state_count; i++) {
        const stapes_tensor *const buffer = &params->states[i].buffer;
        memset(stapes_at(context, buffer), params->states[i].zero, buffer->bytes);
    }
    int32_t *const tokens = stapes_at(context, &params->history);
    const int32_t steps = most_steps(params, context->held_samples);
    int32_t count = 0;
    for (int32_t step = 0; step < steps; step++) {
        const int32_t fed = step < params->start_count ? params->start[step] : tokens[count - 1];
        write_inputs(params, context, fed, step);
        status = model->graphs[last].run(context);
        if (status != STAPES_OK) {
            return status;
        }
        append_rows(params, context, step);
        if (step < params->start_count - 1) {
            continue;
        }
        const int32_t chosen = choose(params, stapes_at(context, &params->logits), count == 0);
        if (chosen == params->end) {
            break;
        }
        tokens[count++] = chosen;
        if (context->on_text != NULL) {
            const char *const bytes = stapes_constant_at(context, &params->bytes);
            const uint32_t *const ends = stapes_constant_at(context, &params->byte_ends);
            const uint32_t begin = chosen == 0 ? 0 : ends[chosen - 1];
            context->on_text(context->user, bytes + begin, ends[chosen] - begin);
        }
        const int32_t dropped = surplus(params, tokens, count, step == steps - 1);
        if (dropped > 0) {
            count -= dropped;
            break;
        }
    }
    return stapes_greedy_text(params, context, tokens, count, text, text_bytes, written);
}
