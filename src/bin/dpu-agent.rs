//! The `dpu-agent` program; see `dpu_render::agent::cli`.

fn main() -> std::process::ExitCode {
    dpu_render::agent::cli::run()
}
