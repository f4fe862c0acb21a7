/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/stapes.h"

stapes_status stapes_check(const stapes_model *model, const stapes_context *context) {
    if (model == NULL || context == NULL || model->arena_count > STAPES_MAX_ARENAS) {
        return STAPES_ERROR_ARGUMENT;
    }
    for (uint32_t i = 0; i < model->arena_count; i++) {
        if (model->arena_bytes[i] == 0) {
            continue;
        }
        if (context->arena[i] == NULL ||
            (uintptr_t)context->arena[i] % STAPES_ARENA_ALIGNMENT != 0) {
            return STAPES_ERROR_ARGUMENT;
        }
        if (context->arena_bytes[i] < model->arena_bytes[i]) {
            return STAPES_ERROR_ARENA_TOO_SMALL;
        }
    }
    if (model->weights != NULL && context->bound != model->weights) {
        return STAPES_ERROR_WEIGHTS_UNBOUND;
    }
    return STAPES_OK;
}

static void *locate(const stapes_context *context, const stapes_tensor *tensors, uint32_t count,
                    uint32_t index) {
    if (index >= count || context->arena[tensors[index].arena] == NULL) {
        return NULL;
    }
    return context->arena[tensors[index].arena] + tensors[index].offset;
}

void *stapes_input(const stapes_model *model, const stapes_context *context, uint32_t graph,
                   uint32_t index) {
    if (model == NULL || context == NULL || graph >= model->graph_count) {
        return NULL;
    }
    const stapes_graph *const g = &model->graphs[graph];
    return locate(context, g->inputs, g->input_count, index);
}

const void *stapes_output(const stapes_model *model, const stapes_context *context, uint32_t graph,
                          uint32_t index) {
    if (model == NULL || context == NULL || graph >= model->graph_count) {
        return NULL;
    }
    const stapes_graph *const g = &model->graphs[graph];
    return locate(context, g->outputs, g->output_count, index);
}

stapes_status stapes_run(const stapes_model *model, const stapes_context *context, uint32_t graph) {
    const stapes_status status = stapes_check(model, context);
    if (status != STAPES_OK) {
        return status;
    }
    if (graph >= model->graph_count) {
        return STAPES_ERROR_ARGUMENT;
    }
    return model->graphs[graph].run(context);
}
