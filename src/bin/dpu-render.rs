//! The `dpu-render` program; see `dpu_render::cli`.

fn main() -> std::process::ExitCode {
    dpu_render::cli::run()
}
