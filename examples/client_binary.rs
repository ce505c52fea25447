//! How do bytes travel? As `Binary`, at any place of a type. Server and client in one program.
//!
//! Run it with `cargo run -p trunkline-examples --example client_binary`.

use serde::{Deserialize, Serialize};
use trunkline::Io;
use trunkline_client::{Args, Binary, Client};

#[derive(Debug, Serialize, Deserialize)]
struct Image {
    name: String,
    pixels: Binary,
    thumbnails: Vec<Binary>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let io = Io::new();
    io.of("/").on("upload", async |trunkline::Data(image): trunkline::Data<Image>| {
        let size = image.pixels.len();
        trunkline::Reply(Args((size, image.thumbnails)))
    });
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || trunkline::serve(listener, io.service()).run());

    let client = Client::builder(&format!("http://{address}")).build()?;
    let image = Image {
        name: "a cat".into(),
        pixels: vec![0x7f; 64 * 1024].into(),
        thumbnails: vec![vec![1, 2, 3].into(), vec![4, 5].into()],
    };
    let Args((size, thumbnails)): Args<(usize, Vec<Binary>)> =
        client.of("/").emit_with_ack("upload", &image).await?;
    println!("{size} bytes were stored; back came {thumbnails:?}");
    client.close().await;
    Ok(())
}
