/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime's public interface: models are const data, contexts hold the caller's memory. */
#ifndef STAPES_STAPES_H
#define STAPES_STAPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Generated headers refuse to compile against another runtime. */
#define STAPES_RUNTIME_VERSION 3

/* Alignment of every arena, in bytes. */
#define STAPES_ARENA_ALIGNMENT 16

/* Alignment of a file of weights, and of each array in it, in bytes. */
#define STAPES_WEIGHTS_ALIGNMENT 16

/* Arenas a context can hold: one for each memory region that a plan may use. */
#define STAPES_MAX_ARENAS 4

typedef enum stapes_status {
    STAPES_OK = 0,
    STAPES_ERROR_ARGUMENT,        /* a null or misaligned pointer, or a model without speech */
    STAPES_ERROR_ARENA_TOO_SMALL, /* an arena has fewer bytes than the model needs */
    STAPES_ERROR_AUDIO_TOO_LONG,  /* more PCM than the model's window */
    STAPES_ERROR_TEXT_TOO_SMALL,  /* the text buffer cannot hold the transcript and its NUL */
    STAPES_ERROR_CANCELLED,       /* on_step asked to stop */
    /* Of models whose weights are a file of their own. */
    STAPES_ERROR_WEIGHTS_UNBOUND,   /* stapes_bind has not accepted this model's weights */
    STAPES_ERROR_WEIGHTS_ALIGNMENT, /* they do not start at a multiple of 16 */
    STAPES_ERROR_WEIGHTS_MAGIC,     /* no file of weights */
    STAPES_ERROR_WEIGHTS_VERSION,   /* of a format that this runtime does not read */
    STAPES_ERROR_WEIGHTS_MODEL,     /* made for another model than the firmware's */
    STAPES_ERROR_WEIGHTS_LENGTH,    /* cut short, or of a wrong length */
    STAPES_ERROR_WEIGHTS_CHECKSUM   /* changed since they were written */
} stapes_status;

/* Called after each kernel: feed a watchdog, yield, profile; non-zero cancels the run. */
typedef int (*stapes_on_step)(void *user, int32_t step);

/* Called with the text of each token as it is found, where a model decodes token by token: not
 * ended by a NUL, a character may be split between two calls, and of what repeats at the end more
 * may be told than the transcript keeps. */
typedef void (*stapes_on_text)(void *user, const char *text, size_t bytes);

/* What a model asks of the file that holds its weights. */
typedef struct stapes_weights {
    uint8_t layout[16]; /* which arrays lie where, and all that was compiled in beside them */
    uint32_t bytes;     /* of the arrays */
} stapes_weights;

typedef struct stapes_context {
    uint8_t *arena[STAPES_MAX_ARENAS]; /* the caller's, aligned to STAPES_ARENA_ALIGNMENT */
    size_t arena_bytes[STAPES_MAX_ARENAS];
    stapes_on_step on_step;      /* may be null */
    stapes_on_text on_text;      /* may be null */
    void *user;                  /* passed to on_step and on_text */
    int32_t frames;              /* private: feature frames, or samples, written so far */
    int32_t held_samples;        /* private: PCM samples kept for the next frame */
    uint64_t energy;             /* private: sum of the squares of the samples */
    const stapes_weights *bound; /* private: what the weights were accepted for */
    const uint8_t *weights;      /* private: the first array */
} stapes_context;

/* Where a graph's input or output lies. */
typedef struct stapes_tensor {
    uint32_t arena;  /* index into stapes_context.arena */
    uint32_t offset; /* bytes from the arena's start */
    uint32_t bytes;
} stapes_tensor;

typedef struct stapes_graph {
    stapes_status (*run)(const stapes_context *context);
    const stapes_tensor *inputs;
    const stapes_tensor *outputs;
    uint32_t input_count;
    uint32_t output_count;
} stapes_graph;

struct stapes_speech; /* stapes/speech.h: front end, decoding rule and vocabulary */

typedef struct stapes_model {
    const stapes_graph *graphs;
    uint32_t graph_count;
    uint32_t arena_count;
    const uint32_t *arena_bytes;        /* bytes needed, an arena each */
    const struct stapes_speech *speech; /* null for a model that is not a speech model */
    const stapes_weights *weights;      /* null where the weights are compiled in */
} stapes_model;

/* Take the weights of a model that was generated without them: `bytes` or fewer at `blob`, which
 * stay there while the model runs. Nothing past `bytes` is read; after an error none are bound. */
stapes_status stapes_bind(const stapes_model *model, stapes_context *context, const void *blob,
                          size_t bytes);

/* Check that the context's arenas are present, aligned and large enough, and its weights bound. */
stapes_status stapes_check(const stapes_model *model, const stapes_context *context);

/* The bytes of input or output `index` of graph `graph`, inside the context's arena; null when
 * there is none such. */
void *stapes_input(const stapes_model *model, const stapes_context *context, uint32_t graph,
                   uint32_t index);
const void *stapes_output(const stapes_model *model, const stapes_context *context, uint32_t graph,
                          uint32_t index);

/* Run one graph on the inputs that lie in the arena. */
stapes_status stapes_run(const stapes_model *model, const stapes_context *context, uint32_t graph);

/* Speech: begin, feed any number of 16-bit PCM samples (10 ms blocks, say), finish.
 * `written` receives the bytes of text without the NUL that ends it. */
stapes_status stapes_begin(const stapes_model *model, stapes_context *context);
stapes_status stapes_feed(const stapes_model *model, stapes_context *context, const int16_t *pcm,
                          size_t samples);
stapes_status stapes_finish(const stapes_model *model, stapes_context *context, char *text,
                            size_t text_bytes, size_t *written);

/* The three calls above on one recording. */
stapes_status stapes_transcribe(const stapes_model *model, stapes_context *context,
                                const int16_t *pcm, size_t samples, char *text, size_t text_bytes,
                                size_t *written);

#ifdef __cplusplus
}
#endif

#endif
